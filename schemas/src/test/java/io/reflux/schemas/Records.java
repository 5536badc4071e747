package io.reflux.schemas;

import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/** Records for tests. */
public final class Records {
  private Records() {}

  public static MirroredRequest request(String id, String prompt) {
    return MirroredRequest.newBuilder()
        .setRequestId(id)
        .setReceivedAt(Instant.ofEpochMilli(1_700_000_000_123L))
        .setSource("test")
        .setTags(Map.of("team", "search"))
        .setPrompt(prompt)
        .setMessages(List.of(new Message("user", "hallo, grüß dich")))
        .build();
  }
}
