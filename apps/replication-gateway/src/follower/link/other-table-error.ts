/** The leader cluster has no table with this id and epoch: its name may mean another one. */
export class OtherTableError extends Error {
  override readonly name = 'OtherTableError';
}
