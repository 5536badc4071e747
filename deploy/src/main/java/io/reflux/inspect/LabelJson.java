package io.reflux.inspect;

import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.inspect.LabelReading.Named;
import io.reflux.inspect.LabelReading.Row;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Locale;

/** A record of labels as one line of JSON, in ASCII; what is unknown is null. */
final class LabelJson {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

  private final TokenText text;
  private final int top;

  /**
   * @param top ids a position at most
   */
  LabelJson(TokenText text, int top) {
    this.text = text;
    this.top = top;
  }

  String line(LabelReading reading) {
    SoftLabels labels = reading.labels();
    ObjectNode object = MAPPER.createObjectNode();
    object.put("topic", reading.received().topic());
    object.put("partition", reading.received().partition());
    object.put("offset", reading.received().offset());
    object.put("request_id", labels.getRequestId());
    object.put("rollout_id", labels.getRolloutId());
    object.put("origin", labels.getOrigin().name().toLowerCase(Locale.ROOT));
    object.put("student_version", labels.getStudentVersion());
    object.put("segment", labels.getSegment());
    object.put("sampling_probability", labels.getSamplingProbability());
    object.put("requested_at", labels.getRequestedAt().toString());
    object.put("scored_at", labels.getScoredAt().toString());
    object.put("teacher_fingerprint", labels.getTeacherFingerprint());
    object.put("tokenizer_fingerprint", labels.getTokenizerFingerprint());
    object.put("chat_template_fingerprint", labels.getChatTemplateFingerprint());
    object.put("vocabulary_size", labels.getVocabularySize());
    object.put("temperature", labels.getTemperature());
    object.put("truncated", labels.getTruncated());
    object.put("prompt_length", labels.getPromptLength());
    ArrayNode ids = object.putArray("token_ids");
    labels.getTokenIds().forEach(ids::add);
    if (text.isText()) {
      int[] tokens = reading.tokenIds();
      object.put("prompt", text.plain(tokens, 0, labels.getPromptLength()));
      object.put("response", text.plain(tokens, labels.getPromptLength(), tokens.length));
    }
    object.put("encoding", reading.encoding().name().toLowerCase(Locale.ROOT));
    object.put("format", reading.format());
    object.put("resolution", reading.resolution());
    object.put("bytes", reading.bytes());
    if (reading.block() instanceof TopKBlock block) {
      object.put("k", block.k());
    } else if (reading.block() instanceof SampledBlock block) {
      object.put("draws", block.draws());
    } else if (reading.block() instanceof SupportBlock block) {
      object.put("k", block.k());
      object.put("support_found", reading.supportIds() != null || block.k() == 0);
    }
    ArrayNode rows = object.putArray("rows");
    reading.rows().forEach(row -> rows.add(row(row, reading)));
    try {
      return MAPPER.writeValueAsString(object);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private ObjectNode row(Row row, LabelReading reading) {
    boolean drawn = reading.block() instanceof SampledBlock;
    ObjectNode object = MAPPER.createObjectNode();
    object.put("position", row.position());
    object.put("token_id", row.tokenId());
    text.plain(row.tokenId()).ifPresent(token -> object.put("token", token));
    object.put("counts", row.counts());
    object.put("probability", row.probability());
    put(object, "logprob", row.tokenLogprob());
    put(object, "entropy", row.entropy());
    if (!drawn) {
      object.put("rank", row.rank() == 0 ? null : row.rank());
      put(object, "tail", row.tail());
    }
    ArrayNode named = object.putArray("top");
    List<Named> most = row.named().subList(0, Math.min(top, row.named().size()));
    for (Named one : most) {
      ObjectNode entry = named.addObject();
      entry.put("id", one.id() == LabelReading.NO_ID ? null : one.id());
      text.plain(one.id()).ifPresent(token -> entry.put("token", token));
      if (drawn) {
        entry.put("count", one.count());
      } else {
        entry.put("probability", one.probability());
      }
    }
    return object;
  }

  private static void put(ObjectNode object, String name, double value) {
    if (Double.isFinite(value)) {
      object.put(name, value);
    } else {
      object.putNull(name);
    }
  }
}
