package io.reflux.cli;

import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.PublicSigningKey;
import io.reflux.snapshots.SigningKey;
import io.reflux.snapshots.SnapshotsConfig;
import io.reflux.snapshots.TrustStore;
import io.reflux.snapshots.TrustStore.Trusted;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Keys that snapshots are signed with. */
@Command(
    name = "keys",
    description = "Makes and lists the keys that snapshots are signed with.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      KeysCommand.Create.class,
      KeysCommand.ListKeys.class,
      KeysCommand.Show.class,
      KeysCommand.Trust.class
    })
final class KeysCommand {
  private static final String PUBLIC_SUFFIX = ".pub.pem";

  @Command(
      name = "create",
      description = {
        "Makes an Ed25519 key: FILE with the private half, which only its owner may read, and "
            + "FILE.pub.pem with the public one.",
        "The private half goes where snapshots are published (reflux.snapshots.signing-key), the "
            + "public one where they are served ('reflux keys trust')."
      },
      mixinStandardHelpOptions = true)
  static final class Create implements Runnable {
    @Parameters(paramLabel = "FILE", description = "A file that is not there yet.")
    private Path file;

    @Spec private CommandSpec spec;

    @Override
    public void run() {
      Path publicFile = file.resolveSibling(file.getFileName() + PUBLIC_SUFFIX);
      if (Files.exists(publicFile)) {
        throw exists(publicFile, null);
      }
      SigningKey key = SigningKey.generate();
      key.write(file);
      try {
        Files.writeString(
            publicFile,
            key.publicKey().pem(),
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE);
      } catch (FileAlreadyExistsException e) {
        throw exists(publicFile, e);
      } catch (IOException e) {
        throw new RefluxException(publicFile + ": cannot be written: " + e.getMessage(), e);
      }
      PrintWriter out = spec.commandLine().getOut();
      out.println("key      " + key.id());
      out.println("private  " + file + "  (reflux.snapshots.signing-key; keep it secret)");
      out.println("public   " + publicFile + "  (reflux keys trust " + publicFile + ")");
      out.flush();
    }

    private static RefluxException exists(Path file, IOException cause) {
      return new RefluxException(
          file + ": exists (expected: a new file; a key is never replaced)", cause);
    }
  }

  @Command(
      name = "list",
      description = "Lists the keys that are trusted.",
      mixinStandardHelpOptions = true)
  static final class ListKeys implements Runnable {
    @Mixin private TrustDirectory directory;
    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      List<Trusted> keys = TrustStore.open(directory.of(config)).keys();
      int width = Math.max(4, keys.stream().mapToInt(key -> key.name().length()).max().orElse(0));
      PrintWriter out = spec.commandLine().getOut();
      String row = "%-" + width + "s  %s%n";
      out.printf(row, "NAME", "KEY");
      keys.forEach(key -> out.printf(row, key.name(), key.key().id()));
      out.flush();
    }
  }

  @Command(
      name = "show",
      description = "Shows a key's fingerprint and public half; never the private one.",
      mixinStandardHelpOptions = true)
  static final class Show implements Runnable {
    @Parameters(paramLabel = "FILE", description = "A private or public key in PEM.")
    private Path file;

    @Spec private CommandSpec spec;

    @Override
    public void run() {
      boolean secret = isPrivate(file);
      PublicSigningKey key =
          secret ? SigningKey.load(file).publicKey() : PublicSigningKey.load(file);
      PrintWriter out = spec.commandLine().getOut();
      out.println("key   " + key.id());
      out.println("kind  Ed25519, " + (secret ? "private" : "public"));
      out.print(key.pem());
      out.flush();
    }
  }

  @Command(
      name = "trust",
      description = "Puts a public key into the directory of those that are believed.",
      mixinStandardHelpOptions = true)
  static final class Trust implements Runnable {
    @Parameters(
        paramLabel = "FILE",
        description = "A public key, as FILE.pub.pem of 'keys create'.")
    private Path file;

    @Option(names = "--name", description = "What to call it (default: by the file's name).")
    private String name;

    @Mixin private TrustDirectory directory;
    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      PublicSigningKey key = PublicSigningKey.load(file);
      Path store = directory.of(config);
      String known = TrustStore.add(store, key, name == null ? nameOf(file) : name);
      PrintWriter out = spec.commandLine().getOut();
      out.println("trusted  " + key.id() + " as " + known + " in " + store);
      out.flush();
    }

    private static String nameOf(Path file) {
      String name = file.getFileName().toString();
      for (String suffix : List.of(PUBLIC_SUFFIX, ".pem")) {
        if (name.endsWith(suffix)) {
          return name.substring(0, name.length() - suffix.length());
        }
      }
      return name;
    }
  }

  /** Which directory of trusted keys. */
  static final class TrustDirectory {
    @Option(
        names = "--trust",
        paramLabel = "DIR",
        description = "Directory of trusted keys (reflux.snapshots.trust).")
    private Path directory;

    Path of(ConfigOptions config) {
      if (directory != null) {
        return directory;
      }
      return config
          .load(Map.of(), Map.of())
          .get(SnapshotsConfig.class)
          .trust()
          .orElseThrow(
              () ->
                  new RefluxException(
                      "--trust: missing (expected: a directory, or reflux.snapshots.trust)"));
    }
  }

  private static boolean isPrivate(Path file) {
    try {
      return Files.isRegularFile(file)
          && Files.readString(file, java.nio.charset.StandardCharsets.ISO_8859_1)
              .contains("-----BEGIN PRIVATE KEY-----");
    } catch (IOException e) {
      throw new RefluxException(file + ": " + e.getMessage(), e);
    }
  }
}
