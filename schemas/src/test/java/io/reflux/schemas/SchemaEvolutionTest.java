package io.reflux.schemas;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.apache.avro.SchemaValidationException;
import org.apache.avro.SchemaValidator;
import org.apache.avro.SchemaValidatorBuilder;
import org.apache.avro.specific.SpecificData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every schema against every version kept in src/main/avro-history. A changed schema needs a new
 * file there, named with the next version.
 */
class SchemaEvolutionTest {
  private static final Path CURRENT = Path.of("src/main/avro");
  private static final Path HISTORY = Path.of("src/main/avro-history");

  static Stream<String> records() {
    return files(CURRENT).map(file -> file.getFileName().toString().replace(".avsc", ""));
  }

  private static Stream<Path> files(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList().stream();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Schema read(Path file) throws IOException {
    return new Schema.Parser().parse(Files.readString(file));
  }

  private static List<Schema> versions(String record) throws IOException {
    List<Schema> versions = new ArrayList<>();
    for (int version = 1; ; version++) {
      Path file = HISTORY.resolve(record).resolve("v" + version + ".avsc");
      if (!Files.exists(file)) {
        break;
      }
      versions.add(read(file));
    }
    assertThat(files(HISTORY.resolve(record)))
        .as("history of %s, numbered v1, v2, … without gaps", record)
        .hasSize(versions.size());
    return versions;
  }

  @ParameterizedTest
  @MethodSource("records")
  void currentSchemaIsTheNewestOneKept(String record) throws IOException {
    List<Schema> versions = versions(record);

    assertThat(versions).isNotEmpty();
    String current = read(CURRENT.resolve(record + ".avsc")).toString();
    assertThat(current.equals(versions.get(versions.size() - 1).toString()))
        .as("%s.avsc has changed: keep it as %s/v%d.avsc too", record, record, versions.size() + 1)
        .isTrue();
  }

  @ParameterizedTest
  @MethodSource("records")
  void everyVersionReadsAndIsReadByEveryOther(String record)
      throws IOException, SchemaValidationException {
    SchemaValidator fullTransitive =
        new SchemaValidatorBuilder().mutualReadStrategy().validateAll();
    List<Schema> versions = versions(record);
    for (int newest = 0; newest < versions.size(); newest++) {
      List<Schema> earlier = new ArrayList<>(versions.subList(0, newest + 1));
      Collections.reverse(earlier);
      fullTransitive.validate(versions.get(newest), earlier);
    }
  }

  @ParameterizedTest
  @MethodSource("records")
  void everythingHasADoc(String record) throws IOException {
    requireDocs(read(CURRENT.resolve(record + ".avsc")));
  }

  private static void requireDocs(Schema schema) {
    switch (schema.getType()) {
      case RECORD -> {
        assertThat(schema.getDoc()).as(schema.getFullName()).isNotBlank();
        for (Schema.Field field : schema.getFields()) {
          assertThat(field.doc()).as(schema.getName() + "." + field.name()).isNotBlank();
          requireDocs(field.schema());
        }
      }
      case ENUM -> {
        assertThat(schema.getDoc()).as(schema.getFullName()).isNotBlank();
        assertThat(schema.getEnumDefault())
            .as("%s needs a default, or no symbol can ever be added", schema.getFullName())
            .isNotNull();
      }
      case UNION -> schema.getTypes().forEach(SchemaEvolutionTest::requireDocs);
      case ARRAY -> requireDocs(schema.getElementType());
      case MAP -> requireDocs(schema.getValueType());
      default -> {}
    }
  }

  @Test
  void everyRecordHasATopicAndEveryTopicItsRecord() {
    TreeSet<String> held = new TreeSet<>();
    for (Topic<?> topic : Topics.all()) {
      held.add(SpecificData.get().getSchema(topic.type()).getName());
    }

    assertThat(records()).containsExactlyElementsOf(held);
  }
}
