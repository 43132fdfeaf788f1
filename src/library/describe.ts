import { UserError } from '../base/errors.js';
import { loadComponents } from '../components.js';
import { componentNames, findComponents, type ComponentDescription } from '../registry/describe.js';
import { builtInConfigs } from '../registry/load-config.js';
import { suggestion } from '../registry/validate.js';

/**
 * Describes components: those of one name, or all that are registered, in the order of their kinds.
 * @throws UserError INVALID_INPUT for a name that no component has
 */
export async function describe(name?: string): Promise<ComponentDescription[]> {
  await loadComponents();
  const found = findComponents(name);
  if (found.length === 0)
    throw new UserError(
      `${name}: no component or config of that name${suggestion(name ?? '', [...(await builtInConfigs()).keys(), ...componentNames()])}`,
    );
  return found;
}
