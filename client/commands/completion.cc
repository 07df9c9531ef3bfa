#include "client/commands/completion.h"

#include "absl/strings/str_cat.h"

namespace innerloop::client {
namespace {

// "--name" of each flag, also of those that commands take over from `root`.
void AppendFlags(const CLI::App& app, std::string& words) {
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      absl::StrAppend(&words, " --", name);
    }
  }
}

// A case for `app` and each command below it; `path` is the words that lead to it.
void AppendCases(const CLI::App& root, const CLI::App& app, const std::string& path,
                 std::string& text) {
  std::string words;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    absl::StrAppend(&words, " ", command->get_name());
  }
  AppendFlags(app, words);
  if (&app != &root) {
    AppendFlags(root, words);
  }
  absl::StrAppend(&text, "    '", path, "') words='", words.substr(1), "' ;;\n");
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    AppendCases(root, *command,
                path.empty() ? command->get_name() : absl::StrCat(path, " ", command->get_name()),
                text);
  }
}

std::string CommandPaths(const CLI::App& app, const std::string& path) {
  std::string all;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    const std::string own =
        path.empty() ? command->get_name() : absl::StrCat(path, " ", command->get_name());
    absl::StrAppend(&all, "|", own, CommandPaths(*command, own));
  }
  return all;
}

}  // namespace

std::string BashCompletion(const CLI::App& root) {
  std::string text = absl::StrCat(
      "_innerloop() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} path= next words= i\n"
      "  local known='",
      CommandPaths(root, ""),
      "|'\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    next=${path:+$path }${COMP_WORDS[i]}\n"
      "    [[ $known == *\"|$next|\"* ]] && path=$next\n"
      "  done\n"
      "  case $path in\n");
  AppendCases(root, root, "", text);
  absl::StrAppend(&text,
                  "  esac\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                  "}\n"
                  "complete -o default -F _innerloop innerloop\n");
  return text;
}

}  // namespace innerloop::client
