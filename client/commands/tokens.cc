#include "client/commands/tokens.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "client/api/access_client.h"
#include "client/render/table.h"
#include "client/render/views.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

std::string RoleText(v1::Role role) { return role == v1::ROLE_USER ? "user" : "viewer"; }

Json TokenJson(const v1::Token& token) {
  Json json;
  json["id"] = token.id();
  json["name"] = token.name();
  json["role"] = RoleText(token.role());
  json["created"] = TimeText(token.created());
  json["expires"] = token.has_expires() ? Json(TimeText(token.expires())) : Json(nullptr);
  json["last_used"] = token.has_last_used() ? Json(TimeText(token.last_used())) : Json(nullptr);
  return json;
}

}  // namespace

absl::Status CreateToken(const std::string& name, const std::string& role, absl::Duration lifetime,
                         Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(
      const v1::CreateTokenResponse made,
      AccessClient(session.client, session.cancellation)
          .Create(name, role == "user" ? v1::ROLE_USER : v1::ROLE_VIEWER, lifetime));
  Json json = TokenJson(made.token());
  json["secret"] = made.secret();
  // The secret has a line of its own; what is said of it goes where a program does not read.
  session.Show(json, absl::StrCat(made.secret(), "\n"));
  if (!session.json) {
    session.surroundings.err << "token " << made.token().id() << " for '" << made.token().name()
                             << "', role " << RoleText(made.token().role())
                             << (made.token().has_expires()
                                     ? absl::StrCat(", until ", TimeText(made.token().expires()))
                                     : "")
                             << "; it is shown this once. Its holder sets INNERLOOP_TOKEN\n";
  }
  return absl::OkStatus();
}

absl::Status ListTokens(Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Token> tokens,
                             AccessClient(session.client, session.cancellation).List());
  Json json = Json::array();
  Table table({{"ID"}, {"NAME"}, {"ROLE"}, {"CREATED"}, {"EXPIRES"}, {"LAST USED"}});
  for (const v1::Token& token : tokens) {
    json.push_back(TokenJson(token));
    table.Add({token.id(), token.name(), RoleText(token.role()), TimeText(token.created()),
               token.has_expires() ? TimeText(token.expires()) : "never",
               token.has_last_used() ? TimeText(token.last_used()) : "never"});
  }
  session.Show(json, tokens.empty() ? "no tokens\n" : table.Render());
  return absl::OkStatus();
}

absl::Status RevokeToken(const std::string& id, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(AccessClient(session.client, session.cancellation).Revoke(id));
  session.Show({{"id", id}, {"revoked", true}}, absl::StrCat("token ", id, " is revoked\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
