// Metric methods as plain loops over one task's embeddings, in doubles, for tests.
#pragma once

#include <cmath>
#include <vector>

#include "core/meta/tensors.h"

namespace innerloop::meta::plain {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline Rows RowsOf(const Tensor& matrix) {
  Rows rows(static_cast<size_t>(matrix.size(0)), Row(static_cast<size_t>(matrix.size(1))));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows[i].size(); ++j) {
      rows[i][j] = matrix[static_cast<int64_t>(i)][static_cast<int64_t>(j)].item<double>();
    }
  }
  return rows;
}

inline double Dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

inline double Cosine(const Row& a, const Row& b) {
  return Dot(a, b) / std::sqrt(Dot(a, a) * Dot(b, b));
}

inline double SquaredDistance(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

// A task's support set.
struct Support {
  Rows embeddings;
  std::vector<int64_t> labels;
  Row weights;
};

// Probabilities of the classes for a query by prototypes at `scale` times a distance.
inline Row ByPrototypes(const Support& support, const Row& query, int64_t classes, bool cosine,
                        double scale) {
  Row probabilities(static_cast<size_t>(classes));
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    Row prototype(query.size(), 0);
    double total = 0;
    for (size_t i = 0; i < support.labels.size(); ++i) {
      if (support.labels[i] == c) {
        total += support.weights[i];
        for (size_t d = 0; d < query.size(); ++d) {
          prototype[d] += support.weights[i] * support.embeddings[i][d];
        }
      }
    }
    for (double& value : prototype) {
      value /= total;
    }
    const double distance =
        cosine ? 1 - Cosine(query, prototype) : SquaredDistance(query, prototype);
    const double likelihood = std::exp(-scale * distance);
    probabilities[static_cast<size_t>(c)] = likelihood;
    sum += likelihood;
  }
  for (double& probability : probabilities) {
    probability /= sum;
  }
  return probabilities;
}

// The same by attention over the support set.
inline Row ByAttention(const Support& support, const Row& query, int64_t classes, double scale) {
  Row probabilities(static_cast<size_t>(classes), 0);
  double sum = 0;
  for (size_t i = 0; i < support.labels.size(); ++i) {
    const double attention =
        support.weights[i] * std::exp(scale * Cosine(query, support.embeddings[i]));
    probabilities[static_cast<size_t>(support.labels[i])] += attention;
    sum += attention;
  }
  for (double& probability : probabilities) {
    probability /= sum;
  }
  return probabilities;
}

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// What an LSTM cell hands on.
struct State {
  Row h;
  Row c;
};

// An LSTM cell with gates i, f, g, o in the columns of `weight` and 1 added to f.
struct Cell {
  Rows weight;
  Row bias;

  // `seen` is what the cell sees of the past.
  State Step(const Row& input, const Row& seen, const Row& c) const {
    Row gates = bias;
    for (size_t g = 0; g < gates.size(); ++g) {
      for (size_t i = 0; i < input.size(); ++i) {
        gates[g] += input[i] * weight[i][g];
      }
      for (size_t i = 0; i < seen.size(); ++i) {
        gates[g] += seen[i] * weight[input.size() + i][g];
      }
    }
    State next{c, c};
    const size_t size = c.size();
    for (size_t d = 0; d < size; ++d) {
      next.c[d] =
          Sigmoid(gates[size + d] + 1) * c[d] + Sigmoid(gates[d]) * std::tanh(gates[2 * size + d]);
      next.h[d] = Sigmoid(gates[3 * size + d]) * std::tanh(next.c[d]);
    }
    return next;
  }
};

// g of Vinyals et al. from g'; examples of weight 0 are left out of the sequence.
inline Rows SupportInContext(const Cell& forward, const Cell& backward, const Support& support) {
  Rows result = support.embeddings;
  const size_t count = result.size();
  for (const bool reversed : {false, true}) {
    const Cell& cell = reversed ? backward : forward;
    State state{Row(cell.bias.size() / 4), Row(cell.bias.size() / 4)};
    for (size_t n = 0; n < count; ++n) {
      const size_t i = reversed ? count - 1 - n : n;
      if (support.weights[i] == 0) {
        continue;
      }
      state = cell.Step(support.embeddings[i], state.h, state.c);
      for (size_t d = 0; d < state.h.size(); ++d) {
        result[i][d] += state.h[d];
      }
    }
  }
  return result;
}

// f of Vinyals et al. from f' after `steps`; `support` holds g.
inline Row QueryInContext(const Cell& cell, const Row& query, const Support& support, int steps) {
  const size_t size = query.size();
  State state{Row(size), Row(size)};
  for (int step = 0; step < steps; ++step) {
    Row seen(2 * size);  // h and what attention reads
    double sum = 0;
    for (size_t i = 0; i < support.embeddings.size(); ++i) {
      const double attention = support.weights[i] * std::exp(Dot(state.h, support.embeddings[i]));
      sum += attention;
      for (size_t d = 0; d < size; ++d) {
        seen[size + d] += attention * support.embeddings[i][d];
      }
    }
    for (size_t d = 0; d < size; ++d) {
      seen[d] = state.h[d];
      seen[size + d] /= sum;
    }
    state = cell.Step(query, seen, state.c);
    for (size_t d = 0; d < size; ++d) {
      state.h[d] += query[d];
    }
  }
  return state.h;
}

}  // namespace innerloop::meta::plain
