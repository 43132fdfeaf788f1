import 'reflect-metadata';
import { injectable } from 'inversify';
import { UserError } from '../base/errors.js';
import { KINDS, type KindName } from './kinds.js';
import type { OptionsSchema } from './schema.js';

/** A registered class. Its constructor takes what it injects, so tests may call it directly. */
export interface ComponentClass<Base = object> {
  // Constructors of components differ; only the container calls them through this type.
  new (...args: never[]): Base;
  readonly options: OptionsSchema;
}

/** What can be asked of a registry of any kind. */
export type Components = Pick<Registry, 'kind' | 'noun' | 'get' | 'names'>;

const registries = new Map<KindName, Components>();

/** Components of one kind by name. Each kind has one registry, declared beside what its components are. */
export class Registry<Base extends object = object> {
  private readonly classes = new Map<string, ComponentClass<Base>>();

  /** @param noun what error messages call one of these, e.g. `hook` */
  constructor(
    readonly kind: KindName,
    readonly noun: string,
  ) {
    registries.set(kind, this);
  }

  /**
   * Class decorator: `@HOOKS.register()` under the class's own name, or another. What runs in browsers says its name, for
   * bundlers shorten those of classes. @throws UserError when the name is taken, or options are missing */
  register(name?: string): <C extends ComponentClass<Base>>(component: C) => void {
    return (component) => {
      const key = name ?? component.name;
      if (this.classes.has(key))
        throw new UserError(`${this.kind}: "${key}" is registered twice; choose another name`, {
          code: 'CONFIG_INVALID',
        });
      // JavaScript, and TypeScript whose types are only stripped, can leave them out.
      if (!(component as Partial<ComponentClass>).options?.description)
        throw new UserError(
          `${this.kind}: "${key}" does not say what its options are; add static readonly options = { description: '...', type: 'object', additionalProperties: false, properties: {} }`,
          { code: 'CONFIG_INVALID' },
        );
      injectable()(component);
      this.classes.set(key, component);
    };
  }

  get(name: string): ComponentClass<Base> | undefined {
    return this.classes.get(name);
  }

  names(): string[] {
    return [...this.classes.keys()].sort();
  }
}

/** The registry of a kind. @throws Error before the module that declares it was loaded */
export function registryOf(kind: KindName): Components {
  const found = registries.get(kind);
  if (!found) throw new Error(`${kind}: its registry is not loaded; call loadComponents() first`);
  return found;
}

/** Every registry that is loaded, in the order of `KINDS`. */
export const allRegistries = (): Components[] => KINDS.flatMap((kind) => registries.get(kind) ?? []);
