import type { ServiceIdentifier } from 'inversify';
import { UserError } from '../base/errors.js';
import { KINDS, type KindName } from './kinds.js';
import type { OptionsSchema } from './schema.js';

/** A registered class. Its constructor takes what it injects, so tests may call it directly. */
export interface ComponentClass<Base = object> {
  // Constructors of components differ; only the container calls them through this type.
  new (...args: never[]): Base;
  readonly options: OptionsSchema;
  /** Tokens of what the constructor is given, for who does not write `@inject`; left out: its options alone. */
  readonly inject?: readonly ServiceIdentifier<unknown>[];
}

/** Legacy decorators of TypeScript pass no context, standard ones do. */
type ClassDecorator<Base> = <C extends ComponentClass<Base>>(component: C, context?: ClassDecoratorContext<C>) => void;

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
   * Class decorator, standard or legacy: `@HOOKS.register()` under the class's own name, or another. What runs
   * in browsers says its name, for bundlers shorten those of classes.
   * Without decorators: `HOOKS.register(MyHook)`.
   * @throws UserError when the name is taken, or options are missing
   */
  register(name?: string): ClassDecorator<Base>;
  register(component: ComponentClass<Base>, name?: string): void;
  register(first?: string | ComponentClass<Base>, name?: string): ClassDecorator<Base> | void {
    if (typeof first === 'function') return this.add(first, name ?? first.name);
    return (component, context) => {
      const add = (): void => this.add(component, first ?? component.name);
      // A standard decorator runs before the static fields are there; what it leaves for later, after them.
      if (context) context.addInitializer(add);
      else add();
    };
  }

  private add(component: ComponentClass<Base>, key: string): void {
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
    this.classes.set(key, component);
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
