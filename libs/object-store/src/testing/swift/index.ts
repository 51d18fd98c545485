/** For tests, from source only: OpenStack Swift, where Debian's packages can be had. */
export { findSwift, type SwiftPackages } from './swift-packages.js';
export { startSwift, type Swift, SWIFT_PART_BYTES } from './swift-server.js';
