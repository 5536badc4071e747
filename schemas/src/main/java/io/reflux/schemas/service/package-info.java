/**
 * What every service has in common: its life cycle, its one-line errors, its status.
 *
 * <p>In: a Micrometer registry. Out: {@code ServiceStatus} records each second. Must not know what
 * any service does.
 */
package io.reflux.schemas.service;
