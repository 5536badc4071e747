package io.reflux.scorer.remote;

/**
 * What a server says it is.
 *
 * @param model by which calls name it
 * @param root where its weights came from
 * @param version of the server
 * @param weights version of the weights where the server counts them, else ""
 * @param longest tokens of prompt and answer; 0 where the server does not say
 */
record ServerIdentity(String model, String root, String version, String weights, long longest) {
  @Override
  public String toString() {
    return model
        + (root.isEmpty() || root.equals(model) ? "" : " from " + root)
        + (weights.isEmpty() ? "" : ", weights " + weights)
        + ", server "
        + version;
  }
}
