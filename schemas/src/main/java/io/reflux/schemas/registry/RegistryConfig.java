package io.reflux.schemas.registry;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.util.Optional;

/** How every service reaches the schema registry, which speaks Confluent's REST protocol. */
@ConfigMapping(prefix = "reflux.registry")
public interface RegistryConfig {
  /** Base address, {@code http} or {@code https}. */
  @WithDefault("http://localhost:8081")
  String url();

  /** User of basic authentication. */
  Optional<String> username();

  /** Password of basic authentication. */
  Optional<String> password();

  /** PKCS#12 or JKS file with the authorities to trust instead of the JVM's own. */
  Optional<Path> truststore();

  /** Password of the truststore. */
  Optional<String> truststorePassword();
}
