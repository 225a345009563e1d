// The official Node SDK in its various lines: see ../python/peer.py for what it is told.
// Arguments: the folder where the packages are installed, their two names, `write` or `evaluate`.
'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

const [folder, sdkName, storeName, todo] = process.argv.slice(2);
const installed = createRequire(path.join(folder, 'package.json'));
const sdk = installed(sdkName);
// Some packages name what they export, others are the function itself.
const exported = installed(storeName);
const FeatureStore = exported.RedisFeatureStore || exported.DynamoDBFeatureStore || exported;

const DEFAULT = 'the default';
const SILENT = { error: console.error, warn() {}, info() {}, debug() {} };

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';

const MAKERS = {
  dynamodb: ({ url, prefix, table, region, accessKeyId, secretAccessKey }) => {
    const clientOptions = { endpoint: url, region, accessKeyId, secretAccessKey };
    return FeatureStore(table, { clientOptions, prefix, cacheTTL: 600 });
  },
  consul: ({ url, prefix }) => {
    const { hostname, port } = new URL(url);
    return FeatureStore({ consulOptions: { host: hostname, port }, prefix, cacheTTL: 600, logger: SILENT });
  },
  redis: storeInRedis,
};

function storeInRedis({ url, prefix }) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const redisOpts = { host: hostname, port: Number(port || 6379), db: Number(pathname.slice(1) || 0) };
  if (username) redisOpts.username = decodeURIComponent(username);
  if (password) redisOpts.password = decodeURIComponent(password);
  return FeatureStore({ redisOpts, prefix, cacheTTL: 600 });
}

function clientOf(asked, more) {
  return sdk.init('sdk-key', {
    featureStore: MAKERS[asked.database](asked),
    sendEvents: false,
    diagnosticOptOut: true,
    logger: SILENT,
    ...more,
  });
}

async function write(asked, ended) {
  const client = clientOf(asked, { baseUri: asked.stream, streamUri: asked.stream });
  await client.waitForInitialization({ timeout: asked.patience });
  console.log(JSON.stringify(client.initialized()));
  await ended;
  client.close();
}

async function evaluate(asked) {
  const client = clientOf(asked, { useLdd: true });
  await client.waitForInitialization({ timeout: 10 });
  const state = await client.allFlagsState(asked.contexts[0]);
  console.log(JSON.stringify(state.valid ? state.allValues() : null));
  for (const context of asked.contexts) {
    const details = await Promise.all(
      asked.keys.map((key) => client.variationDetail(key, context, DEFAULT)),
    );
    const seen = details.map(({ value, variationIndex, reason }) => [value, variationIndex, reason]);
    console.log(JSON.stringify(seen));
  }
  client.close();
}

const input = readline.createInterface({ input: process.stdin });
const ended = new Promise((resolve) => input.once('close', resolve));
input.once('line', async (line) => {
  const asked = JSON.parse(line);
  await (todo === 'write' ? write(asked, ended) : evaluate(asked));
  process.stdout.write('', () => process.exit(0)); // not before all is written
});
