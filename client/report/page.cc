#include "client/report/page.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/report/page_files.h"

namespace innerloop::client {

std::string ReportPage(const Json& data) {
  // Without "<" nothing in the data can end the element that it stands in.
  const std::string text = absl::StrReplaceAll(
      data.dump(-1, ' ', false, Json::error_handler_t::replace), {{"<", "\\u003c"}});
  const std::string script = absl::StrCat(page::kDomJs, "\n", page::kScaleJs, "\n", page::kChartJs,
                                          "\n", page::kSectionsJs, "\n", page::kMainJs);
  return absl::StrReplaceAll(
      page::kPageHtml, {{"@STYLE@", page::kStyleCss}, {"@DATA@", text}, {"@SCRIPT@", script}});
}

}  // namespace innerloop::client
