package io.reflux.bench.soak;

import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What services last said of themselves. One thread at a time. */
final class StatusWatch implements AutoCloseable {
  private final TopicReader<ServiceStatus> reader;
  private final Map<String, ServiceStatus> latest = new HashMap<>();

  StatusWatch(KafkaClients clients) {
    reader =
        clients.reader(Topics.STATUS, clients.consumer("bench-status", null, Map.of())).assignAll();
  }

  /** Reads what has come. */
  void poll(Duration patience) {
    List<Received<ServiceStatus>> received = reader.poll(patience, bad -> {});
    for (Received<ServiceStatus> record : received) {
      latest.put(record.value().getService(), record.value());
    }
  }

  /** A figure of a service; NaN while it has not said it. */
  double figure(String service, String name) {
    ServiceStatus status = latest.get(service);
    Double value = status == null ? null : status.getMetrics().get(name);
    return value == null ? Double.NaN : value;
  }

  @Override
  public void close() {
    reader.close();
  }
}
