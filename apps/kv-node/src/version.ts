/** The version of this program, as `Cluster.Status` and `--version` tell it. */
import { readFileSync } from 'node:fs';

interface Manifest {
  readonly version: string;
}

const manifest = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as Manifest;

export const VERSION: string = manifest.version;
