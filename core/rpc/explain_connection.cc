#include "core/rpc/explain_connection.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/rpc/certificate.h"
#include "core/rpc/listen_address.h"
#include "core/rpc/openssl.h"

namespace innerloop {
namespace {

// A TCP connection with a deadline. One thread only.
class Connection {
 public:
  explicit Connection(absl::Time until) : until_(until) {}
  ~Connection() { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Open(const HostPort& to) {
    addrinfo hints = {};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found) != 0) {
      return false;
    }
    for (const addrinfo* a = found; a != nullptr && socket_ < 0; a = a->ai_next) {
      if (!Connect(*a)) {
        Close();
      }
    }
    freeaddrinfo(found);
    return socket_ >= 0;
  }

  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN || !Await(POLLOUT)) {
        return false;
      }
    }
    return true;
  }

  bool timed_out() const { return timed_out_; }

  // What comes next; empty at the end.
  std::string Receive() {
    char bytes[4096];
    while (true) {
      const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
      if (got >= 0) {
        return {bytes, static_cast<size_t>(got)};
      }
      if (errno != EAGAIN || !Await(POLLIN)) {
        return "";
      }
    }
  }

 private:
  void Close() {
    if (socket_ >= 0) {
      close(std::exchange(socket_, -1));
    }
  }

  bool Connect(const addrinfo& to) {
    socket_ = socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) {
      return false;
    }
    if (connect(socket_, to.ai_addr, to.ai_addrlen) == 0) {
      return true;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    return errno == EINPROGRESS && Await(POLLOUT) &&
           getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }

  bool Await(int16_t events) {
    pollfd waiting = {socket_, events, 0};
    const int64_t left = absl::ToInt64Milliseconds(until_ - absl::Now());
    timed_out_ = left <= 0 || poll(&waiting, 1, static_cast<int>(left)) != 1;
    return !timed_out_;
  }

  const absl::Time until_;
  int socket_ = -1;
  bool timed_out_ = false;
};

// What was seen of the other side.
struct Finding {
  // Its first bytes are TLS's; nothing: it sent none.
  std::optional<bool> speaks_tls;
  // Its certificate, and what is wrong with it (X509_V_OK: nothing).
  std::optional<Certificate> certificate;
  int64_t verdict = X509_V_OK;
  // It went on after it had our certificate.
  bool welcomes = false;
};

std::string PemOf(X509* x509) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x509);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

SslContextPtr MakeContext(const TlsFiles& files) {
  SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof(kHttp2));
  // The verdict is looked at afterwards, so that the certificate can be shown with it.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  if (!files.ca.empty()) {
    SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr);
  }
  if (!files.cert.empty()) {
    SSL_CTX_set_default_passwd_cb(context.get(), NoPassphrase);
    SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str());
    SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  }
  return context;
}

// Carries bytes between OpenSSL and the connection until `step` is through. One thread only.
class Exchange {
 public:
  Exchange(SSL_CTX* context, const HostPort& to, Connection& connection)
      : connection_(connection), ssl_(SSL_new(context)) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);  // which owns them now
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, to.host.c_str()) != 1) {
      SSL_set1_host(ssl_.get(), to.host.c_str());
      SSL_set_tlsext_host_name(ssl_.get(), to.host.c_str());
    }
    ERR_clear_error();
  }

  Finding Run() {
    if (Repeat([this] { return SSL_connect(ssl_.get()); })) {
      char byte = 0;
      finding_.welcomes = Repeat([&] { return SSL_read(ssl_.get(), &byte, 1); });
    }
    if (X509* const peer = SSL_get0_peer_certificate(ssl_.get()); peer != nullptr) {
      if (auto certificate = ParseCertificate(PemOf(peer)); certificate.ok()) {
        finding_.certificate = *std::move(certificate);
      }
      finding_.verdict = SSL_get_verify_result(ssl_.get());
    }
    ERR_clear_error();
    return finding_;
  }

 private:
  template <typename Step>
  bool Repeat(Step step) {
    while (true) {
      const int result = step();
      char* bytes = nullptr;
      const auto size = BIO_get_mem_data(out_, &bytes);
      const bool sent = size <= 0 || connection_.Send({bytes, static_cast<size_t>(size)});
      (void)BIO_reset(out_);
      if (result > 0) {
        return true;
      }
      if (!sent || SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
        return false;
      }
      const std::string received = connection_.Receive();
      if (received.empty()) {
        return false;
      }
      if (!finding_.speaks_tls.has_value()) {
        // A record: its kind (20 to 23) and version 3.x.
        finding_.speaks_tls =
            received[0] >= 20 && received[0] <= 23 && (received.size() < 2 || received[1] == 3);
      }
      BIO_write(in_, received.data(), static_cast<int>(received.size()));
    }
  }

  Connection& connection_;
  const SslPtr ssl_;
  BIO* in_;
  BIO* out_;
  Finding finding_;
};

absl::Status ExplainCertificate(const Finding& finding, absl::string_view whose,
                                const std::string& host, const TlsFiles& files) {
  const Certificate& certificate = *finding.certificate;
  const auto date = [](absl::Time time) {
    return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
  };
  switch (finding.verdict) {
    case X509_V_OK:
      return absl::OkStatus();
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::InvalidArgumentError(
          absl::StrCat(whose, " expired on ", date(certificate.ends)));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::InvalidArgumentError(absl::StrCat(whose, " begins on ", date(certificate.begins),
                                                     "; is this machine's clock right?"));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::InvalidArgumentError(absl::StrCat(
          whose, " is for ",
          certificate.hosts.empty() ? "no host" : absl::StrJoin(certificate.hosts, ", "),
          ", not for '", host, "': use such a name, or issue one with --host ", host));
    case X509_V_ERR_INVALID_PURPOSE:
      return absl::InvalidArgumentError(
          absl::StrCat(whose, " is of a ", certificate.role.empty() ? "client" : certificate.role,
                       ", not of a coordinator"));
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          whose, ", signed by '", certificate.issuer, "', is not from the authority in '", files.ca,
          "' (", X509_verify_cert_error_string(finding.verdict), ")"));
  }
}

}  // namespace

absl::Status ExplainConnection(const std::string& address, const TlsFiles& files,
                               absl::Duration patience) {
  const absl::StatusOr<HostPort> to = ParseHostPort(address);
  Connection connection(absl::Now() + patience);
  if (!to.ok() || !connection.Open(*to)) {
    return absl::OkStatus();
  }
  const SslContextPtr context = MakeContext(files);
  const Finding finding = Exchange(context.get(), *to, connection).Run();
  if (!finding.speaks_tls.has_value() || connection.timed_out()) {
    return absl::OkStatus();
  }
  const std::string coordinator = absl::StrCat("the coordinator at ", address);
  if (files.empty()) {
    return *finding.speaks_tls
               ? absl::InvalidArgumentError(absl::StrCat(
                     coordinator,
                     " speaks TLS, this program does not: give --tls-ca, and --tls-cert with "
                     "--tls-key (users may have a token instead)"))
               : absl::OkStatus();
  }
  if (!*finding.speaks_tls) {
    return absl::InvalidArgumentError(
        absl::StrCat(coordinator,
                     " speaks no TLS, this program does: leave out --tls-ca, "
                     "--tls-cert and --tls-key, or give them to the coordinator"));
  }
  if (finding.certificate.has_value()) {
    absl::Status wrong = ExplainCertificate(
        finding, absl::StrCat("the certificate of ", coordinator), to->host, files);
    if (!wrong.ok()) {
      return wrong;
    }
  }
  if (!finding.welcomes && !files.cert.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(coordinator, " does not take the certificate '", files.cert,
                     "': it must come from the coordinator's authority, be for a worker or a user, "
                     "and not have expired"));
  }
  return absl::OkStatus();
}

}  // namespace innerloop
