package io.reflux.devstack.registry;

/**
 * What is configured for a subject, or for all.
 *
 * @param normalize schemas are normalised even when the request does not ask for it
 */
record SubjectConfig(CompatibilityLevel level, boolean normalize) {
  static final SubjectConfig DEFAULT = new SubjectConfig(CompatibilityLevel.BACKWARD, false);
}
