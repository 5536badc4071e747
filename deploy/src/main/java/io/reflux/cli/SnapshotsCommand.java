package io.reflux.cli;

import io.reflux.inspect.FleetLines;
import io.reflux.inspect.SnapshotDiff;
import io.reflux.inspect.SnapshotList;
import io.reflux.inspect.SnapshotPage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.FleetReports;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.snapshots.SnapshotPointers;
import io.reflux.snapshots.SnapshotPublisher;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Published students, and the channels that say which one is served. */
@Command(
    name = "snapshots",
    description = {
      "Looks at published students, checks them, and moves the channels that fleets follow.",
      "A VERSION is a number, latest, or the name of a channel for what that points to."
    },
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      SnapshotsCommand.ListAll.class,
      SnapshotsCommand.Show.class,
      SnapshotsCommand.Verify.class,
      SnapshotsCommand.Promote.class,
      SnapshotsCommand.Rollback.class,
      SnapshotsCommand.Pin.class,
      SnapshotsCommand.Unpin.class,
      SnapshotsCommand.Diff.class,
      SnapshotsCommand.Export.class,
      SnapshotsCommand.Clear.class
    })
final class SnapshotsCommand {
  private static final String VERSION_HELP = "A number, latest, or a channel's name.";
  private static final String JSON_HELP = "One line of JSON instead.";

  @Command(
      name = "list",
      description =
          "Lists versions, newest last, with the channels that point to them, and who serves what.",
      mixinStandardHelpOptions = true)
  static final class ListAll implements Callable<Integer> {
    @Option(
        names = "--last",
        paramLabel = "N",
        defaultValue = "20",
        description = "Newest versions, beside those of channels (default: ${DEFAULT-VALUE}).")
    private int last;

    @Option(names = "--json", description = JSON_HELP)
    private boolean json;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
      if (last < 1) {
        throw new RefluxException("--last: " + last + " (expected: 1 or more)");
      }
      SnapshotAccess access = SnapshotReference.access(config);
      SnapshotList list = new SnapshotList(access, Clock.systemUTC(), last);
      return list.print(spec.commandLine().getOut(), json) ? 0 : 1;
    }
  }

  @Command(
      name = "show",
      description = "Shows all that is known of one version.",
      mixinStandardHelpOptions = true)
  static final class Show implements Runnable {
    @Parameters(paramLabel = "VERSION", description = VERSION_HELP)
    private String version;

    @Option(names = "--json", description = JSON_HELP)
    private boolean json;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      SnapshotAccess access = SnapshotReference.access(config);
      SnapshotManifest manifest = SnapshotReference.manifest(access, version);
      SnapshotPage page = new SnapshotPage(access, spec.commandLine().getOut());
      FleetLines fleets = new FleetLines(FleetReports.read(access.clients()), Instant.now());
      if (json) {
        page.json(manifest, fleets);
      } else {
        page.print(manifest, new SnapshotCatalog(access).channels(), fleets);
      }
    }
  }

  @Command(
      name = "verify",
      description = {
        "Downloads a version and checks everything: signature, size and SHA-256 of each file, and "
            + "the fingerprints of weights, tokenizer and chat template.",
        "Ends with 1 and says what is wrong if anything is."
      },
      mixinStandardHelpOptions = true)
  static final class Verify implements Runnable {
    @Parameters(paramLabel = "VERSION", description = VERSION_HELP)
    private String version;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      SnapshotAccess access = SnapshotReference.access(config);
      new SnapshotCheck(access, spec.commandLine().getOut())
          .run(SnapshotReference.manifest(access, version));
    }
  }

  /** What commands that move a channel share. */
  abstract static class ChannelCommand implements Runnable {
    @Option(
        names = "--reason",
        paramLabel = "TEXT",
        required = true,
        description = "Why, for whoever looks at the channel later.")
    private String reason;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      if (reason.isBlank()) {
        throw new RefluxException("--reason: blank (expected: why the channel moves)");
      }
      SnapshotAccess access = SnapshotReference.access(config);
      String line = move(access, new SnapshotPointers(access), reason.strip());
      PrintWriter out = spec.commandLine().getOut();
      out.println(line);
      out.flush();
    }

    /** Moves it, and says in a line what moved. */
    abstract String move(SnapshotAccess access, SnapshotPointers pointers, String reason);

    static String moved(SnapshotPointer pointer, Optional<SnapshotPointer> before) {
      if (before.filter(pointer::equals).isPresent()) {
        return "channel "
            + pointer.getChannel()
            + ": stays at version "
            + pointer.getVersion()
            + ", as it was";
      }
      return "channel "
          + pointer.getChannel()
          + ": from "
          + (pointer.getPrevious() == null ? "nothing" : "version " + pointer.getPrevious())
          + " to version "
          + pointer.getVersion()
          + (pointer.getRollback() ? ", a rollback" : "")
          + (pointer.getPinned() ? ", still pinned" : "")
          + ": "
          + pointer.getReason();
    }
  }

  @Command(
      name = "promote",
      description = "Moves a channel forward to a version. A pinned channel stays pinned.",
      mixinStandardHelpOptions = true)
  static final class Promote extends ChannelCommand {
    @Parameters(paramLabel = "VERSION", description = VERSION_HELP)
    private String version;

    @Option(
        names = "--channel",
        defaultValue = "stable",
        description = "Which channel (default: ${DEFAULT-VALUE}).")
    private String channel;

    @Override
    String move(SnapshotAccess access, SnapshotPointers pointers, String reason) {
      SnapshotManifest manifest = SnapshotReference.manifest(access, version);
      Optional<SnapshotPointer> before = new SnapshotCatalog(access).pointer(channel);
      return moved(pointers.promote(channel, manifest.getVersion(), reason), before);
    }
  }

  @Command(
      name = "rollback",
      description = {
        "Moves a channel back to an older version, on record.",
        "Also repairs a channel whose pointer cannot be read or believed."
      },
      mixinStandardHelpOptions = true)
  static final class Rollback extends ChannelCommand {
    @Parameters(
        paramLabel = "VERSION",
        arity = "0..1",
        description = "A number (default: the version that the channel served before).")
    private String version;

    @Option(
        names = "--channel",
        defaultValue = "stable",
        description = "Which channel (default: ${DEFAULT-VALUE}).")
    private String channel;

    @Override
    String move(SnapshotAccess access, SnapshotPointers pointers, String reason) {
      long target = version == null ? before(access) : number();
      return moved(pointers.rollback(channel, target, reason), Optional.empty());
    }

    private long number() {
      return SnapshotReference.number(version)
          .orElseThrow(
              () ->
                  new RefluxException(
                      "VERSION: " + version + " (expected: a number, as of 'snapshots list')"));
    }

    private long before(SnapshotAccess access) {
      SnapshotPointer pointer =
          new SnapshotCatalog(access)
              .pointer(channel)
              .orElseThrow(() -> SnapshotReference.noPointer(channel));
      if (pointer.getPrevious() == null || pointer.getPrevious() >= pointer.getVersion()) {
        throw new RefluxException(
            "VERSION: missing (expected: one below "
                + pointer.getVersion()
                + "; channel "
                + channel
                + " does not tell what it served before)");
      }
      return pointer.getPrevious();
    }
  }

  @Command(
      name = "pin",
      description =
          "Holds a channel at its version: what is published does not move it until it is unpinned.",
      mixinStandardHelpOptions = true)
  static final class Pin extends ChannelCommand {
    @Parameters(paramLabel = "CHANNEL", description = "Such as stable.")
    private String channel;

    @Override
    String move(SnapshotAccess access, SnapshotPointers pointers, String reason) {
      SnapshotPointer pointer = pointers.pin(channel, reason);
      return "channel "
          + channel
          + ": pinned to version "
          + pointer.getVersion()
          + ": "
          + pointer.getReason();
    }
  }

  @Command(
      name = "unpin",
      description = "Lets a channel follow what is published again, from the next version on.",
      mixinStandardHelpOptions = true)
  static final class Unpin extends ChannelCommand {
    @Parameters(paramLabel = "CHANNEL", description = "Such as stable.")
    private String channel;

    @Override
    String move(SnapshotAccess access, SnapshotPointers pointers, String reason) {
      SnapshotPointer pointer = pointers.unpin(channel, reason);
      return "channel "
          + channel
          + ": at version "
          + pointer.getVersion()
          + ", and follows what is published";
    }
  }

  @Command(
      name = "diff",
      description =
          "Downloads two versions and shows what differs: lineage, settings, quality, size, tensors.",
      mixinStandardHelpOptions = true)
  static final class Diff implements Runnable {
    @Parameters(index = "0", paramLabel = "VERSION", description = VERSION_HELP)
    private String one;

    @Parameters(index = "1", paramLabel = "VERSION", description = VERSION_HELP)
    private String other;

    @Option(names = "--json", description = JSON_HELP)
    private boolean json;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      SnapshotAccess access = SnapshotReference.access(config);
      SnapshotManifest before = SnapshotReference.manifest(access, one);
      SnapshotManifest after = SnapshotReference.manifest(access, other);
      try (FetchedCopies copies = new FetchedCopies(access)) {
        new SnapshotDiff(copies.fetch(before), copies.fetch(after))
            .print(spec.commandLine().getOut(), json);
      }
    }
  }

  @Command(
      name = "export",
      description = {
        "Writes a version, checked, to a new directory: whole, or not at all.",
        "Only what belongs to the format is downloaded."
      },
      mixinStandardHelpOptions = true)
  static final class Export implements Runnable {
    @Parameters(paramLabel = "VERSION", description = VERSION_HELP)
    private String version;

    @Option(
        names = "--out",
        required = true,
        paramLabel = "DIR",
        description = "A directory that is not there yet.")
    private Path directory;

    @Option(
        names = "--format",
        defaultValue = "safetensors",
        description =
            "One that the version offers: safetensors, hf, onnx or gguf (default:"
                + " ${DEFAULT-VALUE}).")
    private String formatName;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      SnapshotFormat format = format();
      FetchedCopies.requireNew("--out", directory);
      SnapshotAccess access = SnapshotReference.access(config);
      SnapshotManifest manifest = SnapshotReference.manifest(access, version);
      FetchedCopies.export(access, manifest, format, directory);
      PrintWriter out = spec.commandLine().getOut();
      out.println(
          "version "
              + manifest.getVersion()
              + (format == SnapshotFormat.SAFETENSORS ? "" : " as " + format)
              + " in "
              + directory.resolve(format.folder()));
      out.flush();
    }

    private SnapshotFormat format() {
      try {
        return SnapshotFormat.parse(formatName);
      } catch (RefluxException e) {
        throw new RefluxException("--" + e.getMessage(), e);
      }
    }
  }

  @Command(
      name = "clear",
      description = {
        "Deletes old versions for good: their manifests, and the bytes that no version left is "
            + "made of.",
        "What channels point to is kept, and so is all that a version kept builds on.",
        "It takes over from a trainer that publishes, which then stops: stop it before, and start "
            + "it afterwards."
      },
      mixinStandardHelpOptions = true)
  static final class Clear implements Runnable {
    @Option(
        names = "--keep-last",
        required = true,
        paramLabel = "N",
        description = "Newest versions to keep, beside those of channels.")
    private int last;

    @Option(
        names = "--keep",
        split = ",",
        paramLabel = "VERSION",
        description = "Others to keep, by their numbers.")
    private Set<Long> others = new TreeSet<>();

    @Option(
        names = "--least-age",
        paramLabel = "DURATION",
        defaultValue = "PT1H",
        description =
            "Bytes put less long ago stay; the next clearing takes them (default:"
                + " ${DEFAULT-VALUE}).")
    private Duration leastAge;

    @Option(names = "--dry-run", description = "Says what would go, and changes nothing.")
    private boolean dryRun;

    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      if (last < 1) {
        throw new RefluxException("--keep-last: " + last + " (expected: 1 or more)");
      }
      if (leastAge.isNegative()) {
        throw new RefluxException("--least-age: " + leastAge + " (expected: PT0S or more)");
      }
      SnapshotAccess access = SnapshotReference.access(config);
      List<Long> versions =
          new SnapshotCatalog(access).list().stream().map(SnapshotManifest::getVersion).toList();
      Set<Long> kept = new TreeSet<>(others);
      for (long version : others) {
        if (!versions.contains(version)) {
          throw new RefluxException("--keep: " + version + " (expected: a published version)");
        }
      }
      kept.addAll(versions.subList(Math.max(0, versions.size() - last), versions.size()));
      PrintWriter out = spec.commandLine().getOut();
      try (SnapshotPublisher publisher = new SnapshotPublisher(access)) {
        Set<Long> gone =
            dryRun ? publisher.clearable(kept, leastAge) : publisher.clear(kept, leastAge);
        out.println(
            (dryRun ? "would clear: " : "cleared: ")
                + (gone.isEmpty()
                    ? "no version"
                    : "versions "
                        + gone.stream().map(String::valueOf).collect(Collectors.joining(", "))));
      }
      out.flush();
    }
  }
}
