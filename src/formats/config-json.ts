/** Configs of models as text that Python's libraries accept. */

/** Fields of CLIP's configs that transformers 5 refuses as whole numbers: `1` is an int there, `1.0` a float. */
const FLOATS = /("(?:initializer_factor|initializer_range|layer_norm_eps)": -?\d+)(?=[,\n])/g;

/** JSON of a `config.json`; a number that JavaScript writes without a point gets one where transformers needs it. */
export const configJson = (config: object): string => `${JSON.stringify(config, null, 2).replace(FLOATS, '$1.0')}\n`;
