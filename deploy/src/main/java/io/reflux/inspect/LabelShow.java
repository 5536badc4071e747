package io.reflux.inspect;

import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.service.RefluxException;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jline.utils.AttributedString;

/** Finds records of labels and prints them. */
public final class LabelShow {
  private final KafkaClients clients;
  private final Query query;
  private final Look look;

  /**
   * What to look for; exactly one of the four is set.
   *
   * @param topic of labels
   * @param requestId or null
   * @param rolloutId or null
   * @param place or null
   * @param last records, by the time they were scored; 0 for none
   * @param most newest offsets that a search goes back
   */
  public record Query(
      Topic<SoftLabels> topic,
      String requestId,
      String rolloutId,
      Place place,
      int last,
      long most) {}

  /** Coordinates of a record. */
  public record Place(int partition, long offset) {}

  /**
   * How to print.
   *
   * @param tokenizer of the teacher; null to show ids
   * @param top alternatives a position
   * @param width columns
   * @param styled whether a terminal shows it
   * @param json one line of JSON a record instead
   */
  public record Look(Tokenizer tokenizer, int top, int width, boolean styled, boolean json) {}

  public LabelShow(KafkaClients clients, Query query, Look look) {
    this.clients = clients;
    this.query = query;
    this.look = look;
  }

  /**
   * Prints what is found, one record after another.
   *
   * @return how many could not be read
   * @throws RefluxException one line, if nothing is found, or the tokenizer is not the records'
   */
  public int print(PrintWriter out) {
    List<Received<SoftLabels>> found = find();
    found.forEach(record -> requireTokenizer(record.value()));
    Map<String, int[]> support = supportOf(found);
    TokenText text = look.tokenizer() == null ? TokenText.ids() : TokenText.of(look.tokenizer());
    LabelPage page = new LabelPage(query.topic().name(), text, look.top(), look.width());
    LabelJson json = new LabelJson(text, look.top());
    int unreadable = 0;
    boolean first = true;
    for (Received<SoftLabels> record : found) {
      if (!first && !look.json()) {
        out.println();
      }
      first = false;
      try {
        LabelReading reading = withSupport(LabelReading.of(record), support);
        if (look.json()) {
          out.println(json.line(reading));
        } else {
          print(page.lines(reading), out);
        }
      } catch (RefluxException e) {
        unreadable++;
        String place = page.place(record);
        if (look.json()) {
          throw new RefluxException(place + ": " + e.getMessage(), e);
        }
        print(page.header(record.value(), place), out);
        out.println("unreadable   " + e.getMessage());
      }
    }
    if (!look.json() && look.tokenizer() == null) {
      out.println();
      out.println("Numbers are token ids; --teacher DIR shows their text.");
    }
    out.flush();
    return unreadable;
  }

  private void print(List<AttributedString> lines, PrintWriter out) {
    lines.forEach(line -> out.println(look.styled() ? line.toAnsi() : line.toString()));
  }

  private List<Received<SoftLabels>> find() {
    try (TopicSearch<SoftLabels> search = new TopicSearch<>(clients, query.topic(), query.most())) {
      if (query.place() != null) {
        return List.of(search.at(query.place().partition(), query.place().offset()));
      }
      List<Received<SoftLabels>> found =
          query.last() > 0
              ? search.last(query.last(), Comparator.comparing(SoftLabels::getScoredAt))
              : search.matching(this::isWanted);
      if (found.isEmpty()) {
        String wanted =
            query.last() > 0
                ? "no labels"
                : query.requestId() != null
                    ? "no labels of request " + query.requestId()
                    : "no labels of rollout " + query.rolloutId();
        throw new RefluxException(wanted + " (searched: " + search.extent() + ")");
      }
      return found;
    }
  }

  private boolean isWanted(SoftLabels labels) {
    return query.requestId() != null
        ? query.requestId().equals(labels.getRequestId())
        : query.rolloutId().equals(labels.getRolloutId());
  }

  private void requireTokenizer(SoftLabels labels) {
    if (look.tokenizer() != null
        && !look.tokenizer().fingerprint().equals(labels.getTokenizerFingerprint())) {
      throw new RefluxException(
          "--teacher: tokenizer %s (expected: %s, as the labels of request %s have)"
              .formatted(
                  look.tokenizer().fingerprint(),
                  TokenText.visible(labels.getTokenizerFingerprint()),
                  TokenText.visible(labels.getRequestId())));
    }
  }

  /** Ids that the rollouts of these labels named, by rollout; without those not found. */
  private Map<String, int[]> supportOf(List<Received<SoftLabels>> found) {
    Set<String> wanted = new HashSet<>();
    for (Received<SoftLabels> record : found) {
      if (record.value().getRolloutId() != null && isSupport(record)) {
        wanted.add(record.value().getRolloutId());
      }
    }
    Map<String, int[]> support = new HashMap<>();
    if (!wanted.isEmpty()) {
      try (TopicSearch<Rollout> search =
          new TopicSearch<>(clients, Topics.ROLLOUTS, query.most())) {
        for (Received<Rollout> rollout :
            search.matching(record -> wanted.contains(record.getRolloutId()))) {
          support.put(
              rollout.value().getRolloutId(),
              rollout.value().getSupportIds().stream().mapToInt(Integer::intValue).toArray());
        }
      }
    }
    return support;
  }

  private static boolean isSupport(Received<SoftLabels> record) {
    try {
      return LabelReading.of(record).block() instanceof SupportBlock;
    } catch (RefluxException e) {
      // Told when it is printed.
      return false;
    }
  }

  private static LabelReading withSupport(LabelReading reading, Map<String, int[]> support) {
    int[] ids = support.get(reading.labels().getRolloutId());
    if (ids == null || !(reading.block() instanceof SupportBlock)) {
      return reading;
    }
    try {
      return reading.withSupport(ids);
    } catch (SoftLabelFormatException e) {
      throw new RefluxException(e.getMessage(), e);
    }
  }
}
