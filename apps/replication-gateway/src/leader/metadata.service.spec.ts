import { status } from '@flotilla/grpc';
import { replicationV1 } from '@flotilla/proto';
import { afterEach, describe, expect, it } from 'vitest';
import { serve, type Served } from '../../test/support/served.js';
import { METADATA_GET, MetadataService } from './metadata.service.js';

let served: Served | undefined;
afterEach(() => served?.close());

async function get(isKnown: boolean, names: readonly string[]): Promise<string[]> {
  const all = () =>
    names.map((name, at) => ({ id: at + 1, name, epoch: 1, replicas: [1], revision: 1 }));
  served = await serve(new MetadataService({ isKnown, all }));
  const answer = await served.unary(METADATA_GET, new Uint8Array(0));
  return replicationV1.MetadataResponse.decode(answer).tables.map(
    ({ name, type }) => `${name} ${type}`,
  );
}

describe('the list of tables', () => {
  it('names all of them, each as replicated', async () => {
    expect(await get(true, ['a', 'b'])).toEqual(['a 0', 'b 0']);
  });

  it('B10: is refused, and never empty, while nobody has told what there is', async () => {
    await expect(get(false, [])).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  it('B10: is refused rather than old when the nodes are out of reach', async () => {
    await expect(get(false, ['a'])).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      message: expect.stringMatching(/^unknown err /) as string,
    });
  });
});
