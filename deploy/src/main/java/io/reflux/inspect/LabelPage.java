package io.reflux.inspect;

import io.reflux.inspect.LabelReading.Named;
import io.reflux.inspect.LabelReading.Row;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStringBuilder;
import org.jline.utils.AttributedStyle;

/** A record of labels as lines: what it is, and a table of its positions. */
final class LabelPage {
  private static final AttributedStyle PLAIN = AttributedStyle.DEFAULT;
  private static final AttributedStyle DIM = AttributedStyle.DEFAULT.faint();
  private static final AttributedStyle BOLD = AttributedStyle.DEFAULT.bold();
  private static final AttributedStyle LIKELIEST =
      AttributedStyle.DEFAULT.foreground(AttributedStyle.GREEN);
  private static final AttributedStyle NAMED =
      AttributedStyle.DEFAULT.foreground(AttributedStyle.YELLOW);
  private static final AttributedStyle OUTSIDE =
      AttributedStyle.DEFAULT.foreground(AttributedStyle.RED);

  private static final String EIGHTHS = " ▏▎▍▌▋▊▉█";
  private static final int BAR = 10;
  private static final int MOST_TOKEN = 20;
  private static final int MOST_ALTERNATIVE = 14;

  /** Alternatives below this probability stand back. */
  private static final double LIKELY = 0.005;

  private static final int SHORT_FINGERPRINT = 12;
  private static final int NAME_COLUMN = 13;
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS 'UTC'", Locale.ROOT)
          .withZone(ZoneOffset.UTC);

  private final String topic;
  private final TokenText text;
  private final int top;
  private final int width;

  /**
   * @param topic without its prefix
   * @param top alternatives a position at most
   * @param width columns of a line at most
   */
  LabelPage(String topic, TokenText text, int top, int width) {
    this.topic = topic;
    this.text = text;
    this.top = top;
    this.width = width;
  }

  List<AttributedString> lines(LabelReading reading) {
    List<AttributedString> lines = new ArrayList<>(header(reading));
    lines.add(AttributedString.EMPTY);
    List<Row> rows = reading.rows();
    if (rows.isEmpty()) {
      lines.add(new AttributedString("no labelled positions: the response is empty", DIM));
    } else {
      lines.addAll(table(reading, rows));
      lines.add(AttributedString.EMPTY);
      wrapped(summary(reading, rows), width)
          .forEach(line -> lines.add(new AttributedString(line, DIM)));
    }
    return lines.stream().map(line -> line.columnSubSequence(0, width)).toList();
  }

  // --- what the record is

  /** Of a record, also of one whose labels cannot be read. */
  List<AttributedString> header(SoftLabels labels, String place) {
    List<AttributedString> lines = new ArrayList<>();
    lines.add(new AttributedString(place, BOLD));
    lines.addAll(field("request", TokenText.visible(labels.getRequestId())));
    if (labels.getRolloutId() != null) {
      lines.addAll(field("rollout", TokenText.visible(labels.getRolloutId())));
    }
    String writer =
        labels.getOrigin() == Origin.ROLLOUT
            ? "rollout, written by student version " + labels.getStudentVersion()
            : labels.getOrigin() == Origin.TEACHER
                ? "teacher, which answered the request"
                : labels.getOrigin() == Origin.REQUEST
                    ? "request, whose response production gave"
                    : "unknown";
    lines.addAll(field("origin", writer));
    lines.addAll(field("segment", TokenText.visible(labels.getSegment())));
    Duration wait = Duration.between(labels.getRequestedAt(), labels.getScoredAt());
    lines.addAll(
        field(
            "requested",
            TIME.format(labels.getRequestedAt())
                + ", scored "
                + String.format(Locale.ROOT, "%,.2f s later", wait.toMillis() / 1000.0)));
    lines.addAll(
        field(
            "teacher",
            shortened(labels.getTeacherFingerprint())
                + "  tokenizer "
                + shortened(labels.getTokenizerFingerprint())
                + "  chat template "
                + shortened(labels.getChatTemplateFingerprint())));
    return lines;
  }

  private List<AttributedString> header(LabelReading reading) {
    SoftLabels labels = reading.labels();
    List<AttributedString> lines = header(labels, place(reading.received()));
    lines.addAll(
        field(
            "labels",
            "%s, %s of %s ids, at temperature %s"
                .formatted(
                    reading.encoding().name().toLowerCase(Locale.ROOT),
                    size(reading),
                    whole(labels.getVocabularySize()),
                    number(labels.getTemperature()))));
    int rows = reading.block().rows();
    lines.addAll(
        field(
            "bytes",
            "%s, %s a token, format %d"
                .formatted(
                    whole(reading.bytes()),
                    rows == 0
                        ? "–"
                        : String.format(Locale.ROOT, "%.1f", (double) reading.bytes() / rows),
                    reading.format())));
    lines.addAll(field("sequence", sequence(reading)));
    if (text.isText()) {
      int[] ids = reading.tokenIds();
      int prompt = labels.getPromptLength();
      int room = width - NAME_COLUMN;
      lines.addAll(field("prompt", TokenText.cutStart(text.line(ids, 0, prompt), room)));
      lines.addAll(field("response", TokenText.cut(text.line(ids, prompt, ids.length), room)));
    }
    return lines;
  }

  /** Where a record is, as the command takes it. */
  String place(Received<SoftLabels> record) {
    return "--topic %s --at %d:%d".formatted(topic, record.partition(), record.offset());
  }

  private static String size(LabelReading reading) {
    if (reading.block() instanceof TopKBlock block) {
      return "the " + block.k() + " likeliest";
    }
    if (reading.block() instanceof SampledBlock block) {
      return block.draws() + " draws with replacement";
    }
    int k = ((SupportBlock) reading.block()).k();
    return reading.supportIds() == null && k > 0
        ? "log-probs of %d ids of a rollout that was not found,".formatted(k)
        : "log-probs of the %d ids that the rollout named,".formatted(k);
  }

  private static String sequence(LabelReading reading) {
    SoftLabels labels = reading.labels();
    List<String> parts = new ArrayList<>();
    parts.add(
        "%d prompt and %d response tokens"
            .formatted(labels.getPromptLength(), reading.responseTokens()));
    parts.add(labels.getTruncated() ? "cut at the scorer's limit" : "not cut");
    if (labels.getLossMask() == null) {
      parts.add("every position counts");
    } else {
      long out = reading.rows().stream().filter(row -> !row.counts()).count();
      parts.add("the loss mask leaves out " + out + (out == 0 ? "" : ", marked ×"));
    }
    if (labels.getSamplingProbability() != 1) {
      parts.add("sampled with probability " + number(labels.getSamplingProbability()));
    }
    return String.join(", ", parts);
  }

  private List<AttributedString> field(String name, String value) {
    List<AttributedString> lines = new ArrayList<>();
    String title = name;
    for (String part : wrapped(value, width - NAME_COLUMN)) {
      AttributedStringBuilder line = new AttributedStringBuilder();
      line.append(padded(title, NAME_COLUMN), DIM).append(part);
      lines.add(line.toAttributedString());
      title = "";
    }
    return lines;
  }

  /** Broken at spaces; a word that is too long stays whole. */
  private static List<String> wrapped(String text, int columns) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    if (TokenText.width(text) <= columns) {
      return List.of(text);
    }
    for (String word : text.split(" ", -1)) {
      int joined = TokenText.width(line.toString()) + 1 + TokenText.width(word);
      if (line.length() > 0 && joined > columns) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.length() == 0 ? "" : " ").append(word);
    }
    lines.add(line.toString());
    return lines;
  }

  // --- its positions

  private List<AttributedString> table(LabelReading reading, List<Row> rows) {
    boolean drawn = reading.encoding() == LabelEncoding.SAMPLED;
    int positions = Integer.toString(rows.get(rows.size() - 1).position()).length();
    int tokens = "TOKEN".length();
    for (Row row : rows) {
      tokens = Math.max(tokens, TokenText.width(text.visible(row.tokenId())));
    }
    tokens = Math.min(MOST_TOKEN, tokens);
    int places = Math.max(positions, "POS".length());
    int before = places + 2 + tokens + 2 + 6 + 2 + 5 + 2 + BAR + 2 + 5 + 2 + (drawn ? 0 : 6 + 2);
    List<Integer> alternatives = alternativeWidths(rows, reading, width - before);

    List<AttributedString> lines = new ArrayList<>();
    AttributedStringBuilder titles = new AttributedStringBuilder().style(DIM);
    titles.append(left("POS", places)).append("  ").append(padded("TOKEN", tokens));
    titles.append("  ").append(left("P", 6)).append("  ").append(left(drawn ? "DRAWN" : "RANK", 5));
    titles.append("  ").append(padded("0        1", BAR)).append("  ").append(left("H", 5));
    titles.append(drawn ? "" : "  " + left("TAIL", 6));
    if (!alternatives.isEmpty()) {
      titles.append("  ").append(drawn ? "OTHERS, AND HOW OFTEN THEY WERE DRAWN" : "OTHERS");
    }
    lines.add(titles.toAttributedString());
    for (Row row : rows) {
      lines.add(line(row, reading, places, tokens, alternatives));
    }
    return lines;
  }

  /** Widths of the columns of alternatives that fit: each as wide as its widest text needs. */
  private List<Integer> alternativeWidths(List<Row> rows, LabelReading reading, int room) {
    List<Integer> widths = new ArrayList<>();
    int left = room;
    for (int i = 0; i < top; i++) {
      int widest = 0;
      for (Row row : rows) {
        List<Named> others = others(row);
        if (i < others.size()) {
          int figure = figure(others.get(i), reading).length();
          widest = Math.max(widest, alternativeText(others.get(i)) + 1 + figure);
        }
      }
      left -= widest + 2;
      if (widest == 0 || left < 0) {
        break;
      }
      widths.add(widest);
    }
    return widths;
  }

  private int alternativeText(Named named) {
    return Math.min(MOST_ALTERNATIVE, TokenText.width(name(named)));
  }

  private String name(Named named) {
    return named.id() == LabelReading.NO_ID ? "?" : text.visible(named.id());
  }

  private static String figure(Named named, LabelReading reading) {
    return reading.encoding() == LabelEncoding.SAMPLED
        ? named.count() + "×"
        : probability(named.probability(), reading.resolution());
  }

  /** All that the teacher named but the token that stands there. */
  private static List<Named> others(Row row) {
    return row.named().stream().filter(named -> named.id() != row.tokenId()).toList();
  }

  private AttributedString line(
      Row row, LabelReading reading, int places, int tokens, List<Integer> alternatives) {
    boolean drawn = reading.encoding() == LabelEncoding.SAMPLED;
    int rank = row.rank();
    AttributedStyle tone = rank == 1 ? LIKELIEST : rank > 1 ? NAMED : OUTSIDE;
    boolean known =
        drawn || (!row.named().isEmpty() && row.named().get(0).id() != LabelReading.NO_ID);
    tone = !row.counts() ? DIM : known ? tone : PLAIN;
    AttributedStyle plain = row.counts() ? PLAIN : DIM;

    AttributedStringBuilder line = new AttributedStringBuilder();
    line.append(left(Integer.toString(row.position()), places), DIM);
    line.append(row.counts() ? "  " : "× ", DIM);
    line.append(padded(TokenText.cut(text.visible(row.tokenId()), tokens), tokens), plain.bold());
    line.append("  ").append(left(probability(row.probability()), 6), tone);
    line.append("  ").append(left(place(row, reading, rank, known), 5), plain);
    line.append("  ").append(bar(row.probability()), tone);
    line.append("  ").append(left(nats(row.entropy()), 5), plain);
    if (!drawn) {
      line.append("  ").append(left(tail(row.tail(), reading.resolution()), 6), plain);
    }
    List<Named> others = others(row);
    for (int i = 0; i < Math.min(alternatives.size(), others.size()); i++) {
      Named other = others.get(i);
      String name = TokenText.cut(name(other), MOST_ALTERNATIVE);
      String figure = figure(other, reading);
      int space = alternatives.get(i) - TokenText.width(name) - figure.length();
      boolean likely = drawn || other.probability() >= LIKELY;
      line.append("  ").append(name, likely ? plain : DIM).append(" ".repeat(space));
      line.append(figure, likely ? plain : DIM);
    }
    return line.toAttributedString();
  }

  private static String place(Row row, LabelReading reading, int rank, boolean known) {
    if (reading.encoding() == LabelEncoding.SAMPLED) {
      return rank == 0 ? "0×" : row.named().get(rank - 1).count() + "×";
    }
    if (!known) {
      return "?";
    }
    return rank == 0 ? ">" + row.named().size() : Integer.toString(rank);
  }

  private static String bar(double probability) {
    int eighths = (int) Math.round(Math.min(1, probability) * BAR * 8);
    StringBuilder bar = new StringBuilder();
    for (int cell = 0; cell < BAR; cell++) {
      bar.append(EIGHTHS.charAt(Math.max(0, Math.min(8, eighths - 8 * cell))));
    }
    return bar.toString();
  }

  private static String summary(LabelReading reading, List<Row> rows) {
    List<Row> counted = rows.stream().filter(Row::counts).toList();
    if (counted.isEmpty()) {
      return "no position counts";
    }
    double logprob = counted.stream().mapToDouble(Row::tokenLogprob).average().orElseThrow();
    List<String> parts = new ArrayList<>();
    parts.add(counted.size() + (counted.size() == 1 ? " position" : " positions"));
    parts.add(String.format(Locale.ROOT, "perplexity %,.2f", Math.exp(-logprob)));
    double[] entropies =
        counted.stream().mapToDouble(Row::entropy).filter(h -> !Double.isNaN(h)).toArray();
    parts.add(
        entropies.length == 0
            ? "entropy (H) not told"
            : String.format(
                Locale.ROOT,
                "entropy (H) %.3f nats on average",
                Arrays.stream(entropies).average().orElseThrow()));
    if (reading.encoding() == LabelEncoding.TOPK || reading.supportIds() != null) {
      long likeliest = counted.stream().filter(row -> row.rank() == 1).count();
      parts.add(
          (reading.encoding() == LabelEncoding.TOPK
                  ? "the likeliest token stands at "
                  : "the likeliest of the student's ids stands at ")
              + likeliest);
    }
    return String.join(", ", parts);
  }

  // --- figures

  private static String probability(double p) {
    if (p == 0) {
      return "0";
    }
    if (p >= 0.0005) {
      return String.format(Locale.ROOT, "%.3f", p);
    }
    String text = String.format(Locale.ROOT, "%.0e", p);
    return text.replaceFirst("e-0?", "e-");
  }

  /** Below the resolution the bytes say no more than that. */
  private static String probability(double p, double resolution) {
    return p < resolution ? "<" + probability(resolution) : probability(p);
  }

  /** Rounded to half a step where ids are to one: a quarter of their resolution. */
  private static String tail(double tail, double resolution) {
    return Double.isNaN(tail) ? "?" : tail == 0 ? "–" : probability(tail, resolution / 4);
  }

  private static String nats(double entropy) {
    return Double.isNaN(entropy)
        ? "?"
        : String.format(Locale.ROOT, entropy < 9.995 ? "%.2f" : "%.1f", entropy);
  }

  private static String number(double value) {
    return value == Math.rint(value)
        ? Long.toString((long) value)
        : String.format(Locale.ROOT, "%.4g", value);
  }

  private static String whole(long value) {
    return String.format(Locale.ROOT, "%,d", value);
  }

  private static String shortened(String fingerprint) {
    return fingerprint.isEmpty()
        ? "none"
        : TokenText.visible(
                fingerprint.substring(0, Math.min(SHORT_FINGERPRINT, fingerprint.length())))
            + "…";
  }

  private static String padded(String text, int columns) {
    return text + " ".repeat(Math.max(0, columns - TokenText.width(text)));
  }

  private static String left(String text, int columns) {
    return " ".repeat(Math.max(0, columns - TokenText.width(text))) + text;
  }
}
