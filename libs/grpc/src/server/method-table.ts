/**
 * What a server can be asked: its methods, and the hooks that guard and watch them.
 *
 * In: registrations. Out: for the path of a call, the method with its handler and hooks, or the
 * status for a path that nobody answers, in the words that gRPC clients know from Go servers.
 *
 * Must never let two handlers claim one path, nor a guard name something that cannot exist.
 */
import { GrpcError } from '../errors.js';
import { GrpcStatusError, status } from '../status.js';
import {
  type AnswerPacking,
  type AuthorizeHook,
  type CallObserver,
  type HandlerByKind,
  type MethodInfo,
  type MethodKind,
} from '../transport.js';

/** A handler together with its kind, so that one tells the shape of the other. */
export type MethodHandler = {
  [K in MethodKind]: { readonly kind: K; readonly handle: HandlerByKind[K] };
}[MethodKind];

export interface RegisteredMethod {
  readonly info: MethodInfo;
  readonly handler: MethodHandler;
  /** Hooks of the service and of the method, in the order of their registration. */
  readonly guards: AuthorizeHook[];
  readonly packing: AnswerPacking | undefined;
}

const NAME = '[A-Za-z_][A-Za-z0-9_]*';
const PATH = new RegExp(`^/(${NAME}(?:\\.${NAME})*)/(${NAME})$`);
const SERVICE = new RegExp(`^${NAME}(?:\\.${NAME})*$`);

export class MethodTable {
  readonly observers: CallObserver[] = [];
  /** Changes with every registration: what was looked up before may be out of date. */
  version = 0;
  readonly #methods = new Map<string, RegisteredMethod>();
  readonly #services = new Set<string>();
  readonly #guards: { scope: string; hook: AuthorizeHook }[] = [];

  register<K extends MethodKind>(
    path: string,
    kind: K,
    handle: HandlerByKind[K],
    packing?: AnswerPacking,
  ): void {
    this.version += 1;
    const [, service, method] = PATH.exec(path) ?? [];
    if (service === undefined || method === undefined) {
      throw new GrpcError('METHOD_INVALID', `"${path}" is not a path like /pkg.Service/Method`);
    }
    if (this.#methods.has(path)) {
      throw new GrpcError('METHOD_INVALID', `${path} has a handler already`);
    }
    const guards = this.#guards
      .filter(({ scope }) => scope === service || scope === path)
      .map(({ hook }) => hook);
    this.#methods.set(path, {
      info: { path, service, method, kind },
      // The signature ties the two together; the union cannot be built from type parameters.
      handler: { kind, handle } as unknown as MethodHandler,
      guards,
      packing,
    });
    this.#services.add(service);
  }

  authorize(scope: string, hook: AuthorizeHook): void {
    if (!PATH.test(scope) && !SERVICE.test(scope)) {
      throw new GrpcError('METHOD_INVALID', `"${scope}" is neither a service nor a method path`);
    }
    this.version += 1;
    this.#guards.push({ scope, hook });
    for (const { info, guards } of this.#methods.values()) {
      if (scope === info.service || scope === info.path) {
        guards.push(hook);
      }
    }
  }

  list(): readonly MethodInfo[] {
    return [...this.#methods.values()].map(({ info }) => info);
  }

  find(path: string): RegisteredMethod | undefined {
    return this.#methods.get(path);
  }

  /** The answer to a path that `find` does not know. */
  unknown(path: string): GrpcStatusError {
    const slash = path.lastIndexOf('/');
    if (!path.startsWith('/') || slash <= 0) {
      return new GrpcStatusError(
        status.UNIMPLEMENTED,
        `malformed method name: ${JSON.stringify(path)}`,
      );
    }
    const service = path.slice(1, slash);
    return new GrpcStatusError(
      status.UNIMPLEMENTED,
      this.#services.has(service)
        ? `unknown method ${path.slice(slash + 1)} for service ${service}`
        : `unknown service ${service}`,
    );
  }
}
