// `npm start`: a one-node leader cluster on this machine, made ready if needed. Arguments after
// `--` go to the node (`npm start -- --data-dir=/var/lib/flotilla`); Ctrl-C stops it cleanly.
import { spawn } from 'node:child_process';
import { ensureBuilt, ensureInstalled, nodeProgram, PROGRAMS, ROOT } from './setup.mjs';

ensureInstalled();
ensureBuilt(PROGRAMS);

const node = spawn(process.execPath, [...nodeProgram('leader'), ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  // A trial on one's own machine is not offered to the network unless that is asked for.
  env: {
    FLOTILLA_API_ADDRESS: 'http://127.0.0.1:8443',
    FLOTILLA_DEV_MODE: 'true',
    ...process.env,
  },
});

// Ctrl-C reaches the node by itself, as a member of the same terminal; this process only waits.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => node.kill('SIGTERM'));

node.on('message', (message) => {
  if (message?.type === 'ready') console.log(welcome(message));
});
node.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));

function welcome({ apiAddress, restAddress, dataDir }) {
  const endpoint = apiAddress === 'http://127.0.0.1:8443' ? '' : ` --endpoints ${apiAddress}`;
  return [
    '',
    `Flotilla is ready.  gRPC ${apiAddress}   REST ${restAddress}   data ${dataDir}`,
    'Try, in another terminal:',
    `  npx flotilla table create demo${endpoint}`,
    `  npx flotilla put --table demo hello world${endpoint}`,
    `  npx flotilla get --table demo hello${endpoint}`,
    'Ctrl-C stops it; the data is there again at the next start.',
    '',
  ].join('\n');
}
