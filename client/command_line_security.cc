#include "client/command_line_security.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "client/commands/certs.h"
#include "client/commands/tokens.h"
#include "client/flag_checks.h"

namespace innerloop::client {
namespace {

using Command = std::function<absl::Status()>;

// Where flags are parsed to; the commands share it.
struct Arguments {
  std::string id;
  std::string name;
  std::string role;
  absl::Duration lifetime;
  std::string folder;
  std::string out;
  CertificateRequest request;
};

CLI::App* Add(CLI::App& parent, Command& chosen, const std::string& name, const std::string& text,
              Command command) {
  CLI::App* const app = parent.add_subcommand(name, text);
  app->callback([&chosen, command = std::move(command)] { chosen = command; });
  return app;
}

void AddTokens(CLI::App& root, Session& session, Command& chosen) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const app =
      root.add_subcommand("token", "Bearer tokens, for users without a certificate");
  app->require_subcommand(1);
  CLI::App* const create =
      Add(*app, chosen, "create", "Make a token and print its secret, this once",
          [arguments, &session] {
            return CreateToken(arguments->name, arguments->role, arguments->lifetime, session);
          });
  create->add_option("NAME", arguments->name, "Whom it is for")->required();
  create->add_option("--role", arguments->role, "user, or viewer, who may only look")
      ->check(CLI::IsMember({"user", "viewer"}))
      ->required();
  create
      ->add_option_function<std::string>(
          "--expires",
          [arguments](const std::string& text) {
            arguments->lifetime = TimeSpan("--expires", text, absl::Seconds(1));
          },
          "How long it is good, e.g. 90d [for ever]")
      ->type_name("TIME");
  Add(*app, chosen, "list", "Tokens", [&session] { return ListTokens(session); });
  Add(*app, chosen, "revoke", "Refuse a token from now on",
      [arguments, &session] { return RevokeToken(arguments->id, session); })
      ->add_option("ID", arguments->id, "Token, as token list has it")
      ->required();
}

void AddCerts(CLI::App& root, Session& session, Command& chosen) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const app = root.add_subcommand("certs", "A private authority and its certificates");
  app->require_subcommand(1);
  CLI::App* const init =
      Add(*app, chosen, "init", "Make an authority: DIR/ca.pem and DIR/ca-key.pem, to be kept safe",
          [arguments, &session] {
            return InitCertificates(arguments->folder, arguments->name, session);
          });
  arguments->name = "Innerloop authority";
  init->add_option("DIR", arguments->folder, "Folder; made when it is not there")->required();
  init->add_option("--name", arguments->name, "Name of the authority")->capture_default_str();

  CertificateRequest& request = arguments->request;
  CLI::App* const issue =
      Add(*app, chosen, "issue", "Make a certificate: OUT/cert.pem, OUT/key.pem and OUT/ca.pem",
          [arguments, &session] {
            return IssueCertificate(arguments->folder, arguments->request, arguments->out, session);
          });
  issue->add_option("DIR", arguments->folder, "Folder of the authority")->required();
  issue->add_option("--role", request.role, "coordinator, worker, user or viewer")
      ->check(CLI::IsMember({"coordinator", "worker", "user", "viewer"}))
      ->required();
  issue->add_option("--name", request.name, "Whom it is for")->required();
  issue
      ->add_option("--host", request.hosts,
                   "For a coordinator: a name or address that it is reached by, beside localhost; "
                   "may be given several times")
      ->type_name("NAME_OR_IP")
      ->allow_extra_args(false);
  issue->add_option("--days", request.days, "How long it is good")
      ->transform(WholeNumber(1, kAuthorityDays))
      ->capture_default_str();
  issue->add_option("--out", arguments->out, "Folder; made when it is not there")->required();
  Add(*app, chosen, "show", "Whose a certificate is, for what and until when",
      [arguments, &session] { return ShowCertificate(arguments->folder, session); })
      ->add_option("FILE", arguments->folder, "PEM file")
      ->required();
}

}  // namespace

void AddSecurityFlags(CLI::App& root, Session& session) {
  SecurityOptions& security = session.client.security;
  security.home_dir = HomeSecurityFolder();
  const auto add = [&root](const std::string& flag, std::string& target, const char* environment,
                           const char* type, const std::string& text) {
    root.add_option(flag, target, text)->envname(environment)->type_name(type);
  };
  add("--tls-ca", security.tls.ca, "INNERLOOP_TLS_CA", "FILE",
      "Authority of the coordinator's certificate (PEM): the connection is under TLS");
  add("--tls-cert", security.tls.cert, "INNERLOOP_TLS_CERT", "FILE", "Your certificate (PEM)");
  add("--tls-key", security.tls.key, "INNERLOOP_TLS_KEY", "FILE", "Its key (PEM)");
  add("--tls-dir", security.tls_dir, "INNERLOOP_TLS_DIR", "DIR",
      "Folder of ca.pem, cert.pem and key.pem, instead of these flags; for coordinators of other "
      "machines [~/.config/innerloop]");
  add("--token-file", security.token_file, "INNERLOOP_TOKEN_FILE", "FILE",
      "File with your token, which INNERLOOP_TOKEN may hold itself");
  if (const char* const token = std::getenv("INNERLOOP_TOKEN"); token != nullptr) {
    security.token = token;
  }
}

void AddSecurityCommands(CLI::App& root, Session& session, Command& chosen) {
  AddTokens(root, session, chosen);
  AddCerts(root, session, chosen);
}

}  // namespace innerloop::client
