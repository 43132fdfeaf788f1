/** The one place that builds components: looks up, validates, injects. */
import 'reflect-metadata';
import { Container, type ServiceIdentifier } from 'inversify';
import { UserError } from '../base/errors.js';
import type { Tree } from './merge.js';
import type { Registry } from './registry.js';
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
    const type = component as unknown as new () => Base;
    return construct(() => {
      own.bind(type).toSelf();
      return own.get(type);
    }, component.name);
  };
  scope.bind(BUILD).toConstantValue(build);
  return build;
}

/** @throws UserError for a constructor that cannot be given what it asks for: its author has to mend it */
function construct<T>(get: () => T, name: string): T {
  try {
    return get();
  } catch (error) {
    if (!(error instanceof Error && error.constructor.name.startsWith('Inversify'))) throw error;
    throw new UserError(
      `${name}: its constructor cannot be called (${error.message.split('\n')[0]}); every parameter needs @inject(OPTIONS), @inject(LOGGER) or another token that "diffengine" exports`,
      { cause: error, code: 'CONFIG_INVALID' },
    );
  }
}
