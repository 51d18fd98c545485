/** The native functions themselves: what the package wraps around them forgets the level. */
declare module '@mongodb-js/zstd/bindings.js' {
  export function compress(data: Buffer, level: number): Promise<Buffer>;
}
