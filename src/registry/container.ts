/** The one place that builds components: looks up, validates, injects. */
import 'reflect-metadata';
import { Container, type ServiceIdentifier } from 'inversify';
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
    const options = validateComponent(registry as unknown as Registry, config as Tree);
    const component = registry.get(String((config as Tree)['type']));
    if (!component) throw new Error(`${registry.kind}: "${String((config as Tree)['type'])}" passed validation but is not registered`);
    const own = new Container({ parent: scope });
    own.bind(OPTIONS).toConstantValue(options);
    own.bind(component as unknown as new () => Base).toSelf();
    return own.get(component as unknown as new () => Base);
  };
  scope.bind(BUILD).toConstantValue(build);
  return build;
}
