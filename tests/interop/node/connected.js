// The official Node SDK, connected: see ../python/connected.py for what it is told.
// Arguments: the folder where the package is installed, and its name.
'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

const [folder, sdkName] = process.argv.slice(2);
const sdk = createRequire(path.join(folder, 'package.json'))(sdkName);
const USER = { kind: 'user', key: 'amal' };
const SILENT = { error: console.error, warn() {}, info() {}, debug() {} };
const say = (value) => console.log(JSON.stringify(value));

async function main() {
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const { uri, stream } = JSON.parse((await lines.next()).value);
  const uris = { baseUri: uri, streamUri: uri, eventsUri: uri };
  const client = sdk.init('sdk-key', { ...uris, stream, logger: SILENT });
  await client.waitForInitialization({ timeout: 10 });
  say(client.initialized());
  say(await client.variation('f', USER, 'default'));
  while (!(await lines.next()).done) say(await client.variation('f', USER, 'default'));
  client.track('bought', USER, undefined, 3);
  await client.flush();
  client.close();
  process.exit(0);
}

main();
