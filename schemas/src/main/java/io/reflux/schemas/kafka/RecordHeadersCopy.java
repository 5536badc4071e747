package io.reflux.schemas.kafka;

import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** Headers that may be kept and shared. */
final class RecordHeadersCopy {
  static final Headers NONE = readOnly(new RecordHeaders());

  private RecordHeadersCopy() {}

  /**
   * The headers without the mark of a piece. A consumer's own headers are decoded when first looked
   * at, by whichever thread does, and until then hold on to the whole batch that they came in.
   */
  static Headers of(Headers headers) {
    RecordHeaders copy = null;
    for (Header header : headers) {
      if (!header.key().equals(Chunk.HEADER)) {
        copy = copy == null ? new RecordHeaders() : copy;
        copy.add(new RecordHeader(header.key(), header.value()));
      }
    }
    return copy == null ? NONE : readOnly(copy);
  }

  private static Headers readOnly(RecordHeaders headers) {
    headers.setReadOnly();
    return headers;
  }
}
