/** The one place that builds components: looks up, validates, injects. */
import 'reflect-metadata';
import { Container, inject, injectable, injectFromBase, type ServiceIdentifier } from 'inversify';
import { UserError } from '../base/errors.js';
import type { Tree } from './merge.js';
import type { ComponentClass, Registry } from './registry.js';
import { BUILD, OPTIONS, type Build } from './tokens.js';
import { validateComponent } from './validate.js';

/** Services by token; what a component asks for and is not here is an error that names the token. */
export type Services = readonly (readonly [ServiceIdentifier<unknown>, unknown])[];

/** A `build` whose components are given these services, and `build` itself. @throws UserError from `build`, for invalid options */
export function createBuild(services: Services): Build {
  const scope = new Container();
  for (const [token, value] of services) scope.bind(token).toConstantValue(value);
  const build: Build = <Base extends object>(registry: Registry<Base>, config: object): Base => {
    const options = validateComponent(registry, config as Tree);
    const component = registry.get(String((config as Tree)['type']));
    if (!component)
      throw new Error(
        `${registry.kind}: "${String((config as Tree)['type'])}" passed validation but is not registered`,
      );
    const own = new Container({ parent: scope });
    own.bind(OPTIONS).toConstantValue(options);
    wire(component);
    const type = component as unknown as new () => Base;
    return construct(() => {
      own.bind(type).toSelf();
      return own.get(type);
    }, component.name);
  };
  scope.bind(BUILD).toConstantValue(build);
  return build;
}

const wired = new WeakSet<ComponentClass>();

/**
 * Tells the container what a constructor is given: `@inject` at its parameters says it, or `static inject`, or it takes the options alone.
 * @throws UserError for a constructor that wants more than that
 */
function wire(component: ComponentClass): void {
  if (wired.has(component)) return;
  const base = Object.getPrototypeOf(component) as ComponentClass;
  if (component.length > 0 && !isDecorated(component)) {
    const tokens = component.inject ?? [OPTIONS];
    if (component.length > tokens.length)
      throw new UserError(
        `${component.name}: its constructor takes ${component.length} parameters and is given ${tokens.length}; say what each is, e.g. static readonly inject = [OPTIONS, LOGGER]`,
        { code: 'CONFIG_INVALID' },
      );
    for (const [i, token] of tokens.entries()) inject(token)(component, undefined, i);
  } else if (component.length === 0 && base.length > 0) {
    wire(base); // a class without a constructor of its own has that of its base
    injectFromBase({ extendConstructorArguments: true, extendProperties: false })(component);
  }
  injectable()(component);
  wired.add(component);
}

/** Does one of its constructor's parameters have `@inject`? */
const isDecorated = (component: ComponentClass): boolean =>
  Reflect.getOwnMetadataKeys(component).some((key) => String(key).startsWith('@inversifyjs/'));

/** @throws UserError for a constructor that cannot be given what it asks for: its author has to mend it */
function construct<T>(get: () => T, name: string): T {
  try {
    return get();
  } catch (error) {
    if (!(
      error instanceof Error && /^(No|Ambiguous) bindings found|^Found unexpected missing metadata/.test(error.message)
    ))
      throw error;
    throw new UserError(
      `${name}: its constructor cannot be called (${error.message.split('\n')[0]}); name OPTIONS, LOGGER or other tokens that "diffengine" exports in static readonly inject, or with @inject at each parameter`,
      { cause: error, code: 'CONFIG_INVALID' },
    );
  }
}
