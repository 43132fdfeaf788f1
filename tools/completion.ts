/** Completion for shells: words only, so that a press of Tab starts no Node. */

export interface CompletionWords {
  readonly commands: readonly {
    readonly name: string;
    readonly description: string;
    /** with their two dashes */
    readonly flags: readonly string[];
    /** whether its first argument may be a built-in config */
    readonly takesConfig: boolean;
  }[];
  readonly configs: readonly string[];
  readonly components: readonly string[];
  /** of --cfg-options, without "=" */
  readonly paths: readonly string[];
}

export function completionScript(shell: 'bash' | 'zsh' | 'fish', words: CompletionWords): string {
  return { bash, zsh, fish }[shell](words);
}

const named = ({ commands }: CompletionWords, of: (c: CompletionWords['commands'][number]) => boolean): string[] =>
  commands.filter(of).map(({ name }) => name);

function bash(words: CompletionWords): string {
  const flags = words.commands.map(({ name, flags: own }) => `      ${name}) words='${own.join(' ')}' ;;`);
  return `# bash completion of diffengine
_diffengine() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" last='' words='' i
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${named(words, () => true).join(' ')}' -- "$cur"))
    return
  fi
  if [[ $cur == -* ]]; then
    case $command in
${flags.join('\n')}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  for ((i = COMP_CWORD - 1; i > 1; i--)); do
    if [[ \${COMP_WORDS[i]} == --* ]]; then last=\${COMP_WORDS[i]}; break; fi
  done
  if [[ $last == --cfg-options ]]; then
    if [[ $cur == = || \${COMP_WORDS[COMP_CWORD-1]} == = ]]; then return; fi # the value
    COMPREPLY=($(compgen -S = -W '${words.paths.join(' ')}' -- "$cur"))
    compopt -o nospace
    return
  fi
  if [ -n "$last" ]; then return; fi # files
  case $command in
    describe) words='${[...words.configs, ...words.components].join(' ')}' ;;
    completion) words='bash zsh fish' ;;
    ${named(words, (c) => c.takesConfig && c.name !== 'describe').join('|')}) words='${words.configs.join(' ')}' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _diffengine diffengine`;
}

function zsh(words: CompletionWords): string {
  const commands = words.commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`);
  const flags = words.commands.map(({ name, flags: own }) => `      ${name}) compadd -- ${own.join(' ')} ;;`);
  return `#compdef diffengine
# zsh completion of diffengine
_diffengine() {
  local command=\${words[2]} last='' i
  local -a commands
  commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  if [[ \${words[CURRENT]} == -* ]]; then
    case $command in
${flags.join('\n')}
    esac
    return
  fi
  for (( i = CURRENT - 1; i > 2; i-- )); do
    if [[ \${words[i]} == --* ]]; then last=\${words[i]}; break; fi
  done
  if [[ $last == --cfg-options ]]; then
    compadd -S = -- ${words.paths.join(' ')}
    return
  fi
  if [[ -z $last ]]; then
    case $command in
      describe) compadd -- ${[...words.configs, ...words.components].join(' ')} ;;
      completion) compadd -- bash zsh fish ;;
      ${named(words, (c) => c.takesConfig && c.name !== 'describe').join('|')}) compadd -- ${words.configs.join(' ')} ;;
    esac
  fi
  _files
}
if [[ $funcstack[1] == _diffengine ]]; then _diffengine "$@"; else compdef _diffengine diffengine; fi`;
}

function fish(words: CompletionWords): string {
  const on = (names: readonly string[]): string =>
    `-n '__fish_seen_subcommand_from ${names.join(' ')}; and not __diffengine_sets'`;
  const configs = named(words, (c) => c.takesConfig);
  return [
    '# fish completion of diffengine',
    '# After --cfg-options, until the next option.',
    'function __diffengine_sets',
    "    set -l flags (string match -- '--*' (commandline -opc))",
    '    test (count $flags) -gt 0; and test "$flags[-1]" = \'--cfg-options\'',
    'end',
    ...words.commands.map(
      ({ name, description }) =>
        `complete -c diffengine -f -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
    ),
    ...words.commands.flatMap(({ name, flags }) =>
      flags.map((flag) => `complete -c diffengine -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)}`),
    ),
    `complete -c diffengine ${on(configs)} -a '${words.configs.join(' ')}'`,
    `complete -c diffengine ${on(['describe'])} -a '${words.components.join(' ')}'`,
    `complete -c diffengine ${on(['completion'])} -f -a 'bash zsh fish'`,
    `complete -c diffengine -f -n __diffengine_sets -a '${words.paths.map((path) => `${path}=`).join(' ')}'`,
  ].join('\n');
}

/** For a shell, between single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
