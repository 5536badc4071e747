package io.reflux.devstack;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/** Runs in a JVM of its own: a broker, and a producer that prints what was acknowledged. */
public final class KilledBroker {
  static final String TOPIC = "survivors";

  private KilledBroker() {}

  public static void main(String[] arguments) throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.start(Path.of(arguments[0]), 0)) {
      Map<String, Object> settings =
          Map.of("bootstrap.servers", broker.bootstrapServers(), "acks", "all");
      try (Admin admin = Admin.create(settings)) {
        admin.createTopics(List.of(new NewTopic(TOPIC, 2, (short) 1))).all().get();
      }
      System.out.println("broker " + broker.bootstrapServers());
      try (KafkaProducer<String, String> producer =
          new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
        for (int i = 0; !Thread.currentThread().isInterrupted(); i++) {
          String value = Integer.toString(i);
          Future<RecordMetadata> unused =
              producer.send(
                  new ProducerRecord<>(TOPIC, value, value),
                  (metadata, failure) -> {
                    if (failure == null) {
                      System.out.println("ack " + value);
                    }
                  });
          if (i % 200 == 0) {
            producer.flush();
          }
        }
      }
    }
  }
}
