// node client.js CLIENT URL ID SECRET, and calls on stdin: [[operation, method, query, change], …]. "$ClientKeyId" in a
// query is the last one that came; CHANGE is {secret}, {nonce} or {date} to sign with instead. Prints what each ended
// with: {body} or {code, status}. CLIENT with -v4 behind it signs as KMS's SDK does when it is told signatureVersion v4.
const [named, url, accessKeyId, accessKeySecret] = process.argv.slice(2);
const kind = named.replace(/-v4$/, '');
const isV4 = kind !== named;
const [protocol, endpoint] = url.split('://');

function makeCall(secret) {
  const params = (action, method) => ({
    action, version: '2016-01-20', protocol, pathname: '/', method, authType: 'AK', style: 'RPC',
    reqBodyType: 'formData', bodyType: 'json' });
  const config = { accessKeyId, accessKeySecret: secret, protocol, endpoint, regionId: 'cn-hangzhou', ...(isV4 && { signatureVersion: 'v4' }) };
  const withGateway = (client) => {
    if (isV4) {
      // 0.0.4, the newest on npm, takes the bytes of a derived key for UTF-8 and so signs with another key
      require('@alicloud/darabonba-signature-util').default.HmacSHA256SignByBytes = (text, key) =>
        require('crypto').createHmac('sha256', key).update(text).digest();
      client._productId = 'Kms';
      client._spi = new (require('@alicloud/gateway-pop').default)();
    }
    return client;
  };
  const v3 = ({ nonce, date }) => ({
    ...(nonce && { 'x-acs-signature-nonce': nonce }), ...(date && { 'x-acs-date': date }) });
  if (kind === 'openapi-client') {
    const OpenApi = require('@alicloud/openapi-client');
    const Util = require('@alicloud/tea-util');
    const client = withGateway(new OpenApi.default(new OpenApi.Config(config)));
    return (action, method, query, change) => client.callApi(new OpenApi.Params(params(action, method)),
      new OpenApi.OpenApiRequest({ query, headers: v3(change) }), new Util.RuntimeOptions({}));
  }
  if (kind === 'openapi-core') {
    const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
    const { RuntimeOptions } = require('@darabonba/typescript');
    const client = withGateway(new Client(new $OpenApiUtil.Config(config)));
    return (action, method, query, change) => client.callApi(new $OpenApiUtil.Params(params(action, method)),
      new $OpenApiUtil.OpenApiRequest({ query, headers: v3(change) }), new RuntimeOptions({}));
  }
  const { RPCClient } = require('@alicloud/pop-core');
  const client = new RPCClient({ accessKeyId, accessKeySecret: secret, endpoint: url, apiVersion: '2016-01-20' });
  const v2 = ({ nonce, date }) => ({ ...(nonce && { SignatureNonce: nonce }), ...(date && { Timestamp: date }) });
  return async (action, method, query, change) => ({
    body: await client.request(action, { ...query, ...v2(change) }, { method, formatParams: false }) });
}

async function main() {
  const calls = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const results = [];
  let identifier = '';
  for (const [action, method, query, change = {}] of calls) {
    try {
      const filled = Object.fromEntries(Object.entries(query).map(
        ([name, value]) => [name, value === '$ClientKeyId' ? identifier : value]));
      const { body } = await makeCall(change.secret || accessKeySecret)(action, method, filled, change);
      identifier = body.ClientKeyId || identifier;
      results.push({ body });
    } catch (error) {
      results.push({ code: error.code, status: error.statusCode || (error.data || {}).statusCode || (error.entry || { response: {} }).response.statusCode });
    }
  }
  console.log(JSON.stringify(results));
}
main();
