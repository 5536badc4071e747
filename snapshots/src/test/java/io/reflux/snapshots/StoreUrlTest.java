package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import java.net.URI;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class StoreUrlTest {
  @Test
  void readsEachKind() {
    assertThat(StoreUrl.parse("kafka")).isEqualTo(new StoreUrl.Kafka());
    assertThat(StoreUrl.parse("dir:/var/snapshots"))
        .isEqualTo(new StoreUrl.Directory(Path.of("/var/snapshots")));
    assertThat(
            StoreUrl.parse(
                "s3://models/live/en?endpoint=http://minio:9000&region=eu-west-1&path-style=true"))
        .isEqualTo(
            new StoreUrl.S3(
                "models",
                "live/en",
                Optional.of(URI.create("http://minio:9000")),
                Optional.of("eu-west-1"),
                true));
    assertThat(StoreUrl.parse("s3://models"))
        .isEqualTo(new StoreUrl.S3("models", "", Optional.empty(), Optional.empty(), false));
  }

  @Test
  void saysInOneLineWhatIsWrong() {
    for (String wrong :
        new String[] {
          "",
          "gs://models",
          "dir:",
          "s3://",
          "s3:///prefix",
          "s3://Models",
          "s3://models?endpoint=minio:9000",
          "s3://models?zone=a",
          "s3://models?path-style=maybe",
          "s3://models?region=",
          "s3://mo dels"
        }) {
      assertThatThrownBy(() -> StoreUrl.parse(wrong))
          .isInstanceOf(RefluxException.class)
          .hasMessageStartingWith("reflux.snapshots.store: " + wrong + " (expected: ")
          .hasMessageNotContaining("\n");
    }
  }
}
