package io.reflux.cli;

import io.reflux.inspect.LabelShow;
import io.reflux.inspect.LabelShow.Look;
import io.reflux.inspect.LabelShow.Place;
import io.reflux.inspect.LabelShow.Query;
import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The teacher's labels. */
@Command(
    name = "labels",
    description = "Looks at what the teacher said.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {LabelsCommand.Show.class})
final class LabelsCommand {
  @Command(
      name = "show",
      description = {
        "Prints labels as a person reads them: each response token with its probability, the "
            + "teacher's entropy (H, in nats), and what else the teacher would have said.",
        "A space is shown as ␣, bytes that are only a part of a character as \\xE2."
      },
      mixinStandardHelpOptions = true)
  static final class Show implements Callable<Integer> {
    private static final Pattern PLACE = Pattern.compile("(\\d{1,9}):(\\d{1,18})");
    private static final List<Topic<SoftLabels>> TOPICS =
        List.of(Topics.SOFT_LABELS, Topics.ROLLOUT_LABELS);

    /** Any one of these. */
    private static final class Which {
      @Option(names = "--request", paramLabel = "ID", description = "Of one request.")
      private String request;

      @Option(names = "--rollout", paramLabel = "ID", description = "Of one rollout.")
      private String rollout;

      @Option(
          names = "--at",
          paramLabel = "PARTITION:OFFSET",
          description = "At one place, as dead letters and logs name it.")
      private String at;

      @Option(
          names = "--last",
          paramLabel = "N",
          description = "The last N that were scored (default: 1).")
      private Integer last;
    }

    @Option(
        names = "--topic",
        paramLabel = "soft-labels|rollout-labels",
        description = "Where to look (default: soft-labels, with --rollout rollout-labels).")
    private String topic;

    @ArgGroup private Which which = new Which();

    @Option(
        names = "--teacher",
        paramLabel = "DIR",
        description = "A directory with the teacher's tokenizer.json, to show text instead of ids.")
    private Path teacher;

    @Option(
        names = "--top",
        paramLabel = "N",
        defaultValue = "5",
        description = "Alternatives a position, as many as fit (default: ${DEFAULT-VALUE}).")
    private int top;

    @Option(
        names = "--width",
        paramLabel = "COLUMNS",
        description = "Longest line (default: the terminal's, else 160).")
    private Integer width;

    @Option(
        names = "--search",
        paramLabel = "N",
        defaultValue = "100000",
        description = "How far back a search goes, in offsets (default: ${DEFAULT-VALUE}).")
    private long search;

    @Option(
        names = "--json",
        description = "One line of JSON a record instead; its ids are the --top likeliest.")
    private boolean json;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
      Query query = query();
      requireAtLeast("--top", top, 0);
      if (width != null) {
        requireAtLeast("--width", width, 40);
      }
      Screen screen = Screen.ofStandardOutput();
      Look look =
          new Look(
              tokenizer(),
              top,
              width == null ? screen.columns() : width,
              screen.styled() && !json,
              json);
      KafkaClients clients = config.load(Map.of(), Map.of()).clients();
      clients.requireReachable(Duration.ofSeconds(15));
      return new LabelShow(clients, query, look).print(spec.commandLine().getOut()) == 0 ? 0 : 1;
    }

    private Query query() {
      requireAtLeast("--search", search, 1);
      Place place = which.at == null ? null : place(which.at);
      boolean any = which.request != null || which.rollout != null || place != null;
      if (which.last != null) {
        requireAtLeast("--last", which.last, 1);
      }
      int last = any ? 0 : which.last == null ? 1 : which.last;
      return new Query(topic(), which.request, which.rollout, place, last, search);
    }

    private Topic<SoftLabels> topic() {
      if (topic == null) {
        return which.rollout == null ? Topics.SOFT_LABELS : Topics.ROLLOUT_LABELS;
      }
      return TOPICS.stream()
          .filter(known -> known.name().equals(topic))
          .findFirst()
          .orElseThrow(
              () ->
                  new RefluxException(
                      "--topic: " + topic + " (expected: soft-labels or rollout-labels)"));
    }

    private static Place place(String text) {
      Matcher place = PLACE.matcher(text);
      if (!place.matches()) {
        throw new RefluxException(
            "--at: " + text + " (expected: PARTITION:OFFSET, such as 3:1287)");
      }
      return new Place(Integer.parseInt(place.group(1)), Long.parseLong(place.group(2)));
    }

    private Tokenizer tokenizer() {
      if (teacher == null) {
        return null;
      }
      if (!Files.isRegularFile(teacher.resolve("tokenizer.json"))) {
        throw new RefluxException(
            "--teacher: " + teacher + " (expected: a directory with a tokenizer.json)");
      }
      return Tokenizer.load(teacher);
    }

    private static void requireAtLeast(String option, long value, long least) {
      if (value < least) {
        throw new RefluxException(option + ": " + value + " (expected: " + least + " or more)");
      }
    }
  }
}
