// The official Node SDK, current line and legacy line: see ../python/peer.py for what it is told.
// Arguments: the folder where the packages are installed, their two names, `write` or `evaluate`.
'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

const [folder, sdkName, storeName, todo] = process.argv.slice(2);
const installed = createRequire(path.join(folder, 'package.json'));
const sdk = installed(sdkName);
// The current line names what it exports, the legacy line is the function itself.
const { RedisFeatureStore = installed(storeName) } = installed(storeName);

const DEFAULT = 'the default';
const SILENT = { error: console.error, warn() {}, info() {}, debug() {} };

function storeOf({ url, prefix }) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const redisOpts = { host: hostname, port: Number(port || 6379), db: Number(pathname.slice(1) || 0) };
  if (username) redisOpts.username = decodeURIComponent(username);
  if (password) redisOpts.password = decodeURIComponent(password);
  return RedisFeatureStore({ redisOpts, prefix, cacheTTL: 600 });
}

function clientOf(asked, more) {
  return sdk.init('sdk-key', {
    featureStore: storeOf(asked),
    sendEvents: false,
    diagnosticOptOut: true,
    logger: SILENT,
    ...more,
  });
}

async function write(asked, ended) {
  const client = clientOf(asked, { baseUri: asked.stream, streamUri: asked.stream });
  await client.waitForInitialization({ timeout: 10 });
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
  process.exit(0);
});
