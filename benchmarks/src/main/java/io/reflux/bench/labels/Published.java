package io.reflux.bench.labels;

import io.reflux.bench.Result;
import io.reflux.schemas.labels.LabelEncoding;
import java.util.ArrayList;
import java.util.List;

/**
 * What others put on the wire for one token of a vocabulary of about 152,000.
 *
 * @param bytes a token
 * @param like the encoding whose ids it has; null for all of them
 * @param source where its size comes from
 */
record Published(String name, double bytes, Encoding like, String source) {

  /** Those whose vocabulary this is. */
  static List<Published> all(int vocabulary) {
    return List.of(
        new Published("all logits, bf16", 2.0 * vocabulary, null, "2 bytes an id"),
        new Published("top 128, 17-bit ids + fp16", 528, topK(128), "128 x 33 bits"),
        new Published("top 64, int32 + fp32", 512, topK(64), "64 x 8 bytes"),
        new Published("DistillKit, top 128", 344, topK(128), "its published layout"),
        new Published("DistillKit, top 50", 127, topK(50), "its published layout"),
        new Published(
            "50 draws, 17-bit ids + 7-bit counts",
            36,
            new Encoding(LabelEncoding.SAMPLED, 50),
            "arXiv 2503.16870: 12 ids x 24 bits"));
  }

  /** Bytes below which nobody can name k ids that may be any: log2 of their combinations. */
  static double boundOfIds(int vocabulary, int k) {
    double bits = 0;
    for (int i = 0; i < k; i++) {
      bits += (Math.log(vocabulary - i) - Math.log(i + 1)) / Math.log(2);
    }
    return bits / 8;
  }

  static Result.Table table(int vocabulary) {
    List<List<Object>> rows = new ArrayList<>();
    for (Published one : all(vocabulary)) {
      rows.add(List.of(one.name(), one.bytes(), one.source()));
    }
    rows.add(
        List.of(
            "naming 50 ids that may be any, at least",
            boundOfIds(vocabulary, 50),
            "log2 of the combinations"));
    return new Result.Table("published", List.of("codec", "bytes_per_token", "source"), rows);
  }

  private static Encoding topK(int k) {
    return new Encoding(LabelEncoding.TOPK, k);
  }
}
