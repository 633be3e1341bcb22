// node client.js CLIENT ENDPOINT ID SECRET, and calls on stdin: [[operation, method, query], …]. Prints
// what each ended with: {body} or {code, status}.
const [kind, endpoint, accessKeyId, accessKeySecret] = process.argv.slice(2);

async function main() {
  const calls = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  let call;
  const params = (action, method) => ({
    action, version: '2016-01-20', protocol: 'HTTP', pathname: '/', method, authType: 'AK', style: 'RPC',
    reqBodyType: 'formData', bodyType: 'json' });
  const config = { accessKeyId, accessKeySecret, protocol: 'http', endpoint, regionId: 'cn-hangzhou' };
  if (kind === 'openapi-client') {
    const OpenApi = require('@alicloud/openapi-client');
    const Util = require('@alicloud/tea-util');
    const client = new OpenApi.default(new OpenApi.Config(config));
    call = (action, method, query) => client.callApi(new OpenApi.Params(params(action, method)),
      new OpenApi.OpenApiRequest({ query }), new Util.RuntimeOptions({}));
  } else if (kind === 'pop-core') {
    const { RPCClient } = require('@alicloud/pop-core');
    const client = new RPCClient({ accessKeyId, accessKeySecret, endpoint: `http://${endpoint}`, apiVersion: '2016-01-20' });
    call = async (action, method, query) => ({
      body: await client.request(action, query, { method, formatParams: false }) });
  } else {
    const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
    const { RuntimeOptions } = require('@darabonba/typescript');
    const client = new Client(new $OpenApiUtil.Config(config));
    call = (action, method, query) => client.callApi(new $OpenApiUtil.Params(params(action, method)),
      new $OpenApiUtil.OpenApiRequest({ query }), new RuntimeOptions({}));
  }
  const results = [];
  for (const [action, method, query] of calls) {
    try {
      results.push({ body: (await call(action, method, query)).body });
    } catch (error) {
      results.push({ code: error.code, status: error.statusCode || (error.data || {}).statusCode || (error.entry || { response: {} }).response.statusCode });
    }
  }
  console.log(JSON.stringify(results));
}
main();
