/** Public face of the object stores: the port, its adapters, and how one is opened from a URL. */
export {
  parseObjectStoreUrl,
  type ObjectStoreLocation,
  type ObjectStoreSecrets,
} from './config/object-store-url.js';
export { openObjectStore } from './config/open-object-store.js';
export { FileSystemStore, type FileSystemStoreOptions } from './file-system/file-system-store.js';
export * from './port/bounds.js';
export { hasCode, ObjectStoreError, type ObjectStoreErrorCode } from './port/errors.js';
export { checkKey, checkPrefix, compareKeys } from './port/keys.js';
export type * from './port/object-store.js';
export { type S3Credentials, type S3Encryption, type S3Settings } from './s3/s3-settings.js';
export {
  listAll,
  listAllUploads,
  readObject,
  type ReadObjectOptions,
} from './transfer/read-object.js';
export {
  readResuming,
  uploadParts,
  type ResumeOptions,
  type UploadPartsOptions,
} from './transfer/resuming.js';
