// Reads {requests: [{Method, Url, Headers}], id, secret} and prints the Authorization that
// @alicloud/openapi-core computes for each, as a JSON array.
const { $OpenApiUtil, OpenApiUtil } = require('@alicloud/openapi-core');
const { URL } = require('url');

const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const utils = OpenApiUtil || require('@alicloud/openapi-core/dist/utils').default;
const answers = given.requests.map((received) => {
  const url = new URL(received.Url, 'http://localhost');
  const query = Object.fromEntries(url.searchParams);
  const headers = Object.fromEntries(received.Headers.map(([name, value]) => [name.toLowerCase(), value]));
  return utils.getAuthorization(
    { method: received.Method, pathname: url.pathname, query, headers },
    'ACS3-HMAC-SHA256', headers['x-acs-content-sha256'], given.id, given.secret);
});
console.log(JSON.stringify(answers));
