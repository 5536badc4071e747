package io.reflux.devstack.registry;

import java.util.List;

/**
 * What an id stands for: equal contents have one id, whatever subjects they are registered under.
 *
 * @param type such as {@code AVRO}
 * @param text the canonical text
 */
record SchemaContent(String type, String text, List<SchemaReference> references) {
  static final String AVRO = "AVRO";

  SchemaContent {
    references = List.copyOf(references);
  }
}
