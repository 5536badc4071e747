package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3ClientBuilder;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/**
 * Objects in S3-compatible storage, {@code prefix/sha256/…} by their names. Credentials are found
 * where the SDK always looks. Small objects go in one request, large ones in parts; neither is
 * there before all of it is, with checksums that the server checks.
 */
final class S3Store implements SnapshotStore {
  static final String KIND = "s3";
  private static final Logger log = LoggerFactory.getLogger(S3Store.class);

  /** Servers take parts from 5 MiB on, and at most 10,000 of them. */
  private static final long PART_BYTES = 8L << 20;

  private static final int MOST_PARTS = 10_000;

  /** How often something is tried whose connection broke. */
  private static final int ATTEMPTS = 4;

  private static final Duration PAUSE = Duration.ofMillis(50);
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
  private static final Duration READ_TIMEOUT = Duration.ofSeconds(30);
  private static final int NOT_FOUND = 404;
  private static final int FORBIDDEN = 403;
  private static final int UNAUTHORISED = 401;

  private final StoreUrl.S3 url;
  private final S3Client client;
  private final String prefix;

  S3Store(StoreUrl.S3 url) {
    this.url = url;
    this.prefix = (url.prefix().isEmpty() ? "" : url.prefix() + "/") + "sha256/";
    S3ClientBuilder builder =
        S3Client.builder()
            .httpClientBuilder(
                UrlConnectionHttpClient.builder()
                    .connectionTimeout(CONNECT_TIMEOUT)
                    .socketTimeout(READ_TIMEOUT))
            .forcePathStyle(url.pathStyle());
    url.endpoint().ifPresent(builder::endpointOverride);
    if (url.region().isPresent()) {
      builder.region(Region.of(url.region().get()));
    } else if (url.endpoint().isPresent()) {
      // Servers that are not Amazon's have no regions, but signatures name one.
      builder.region(Region.US_EAST_1);
    }
    try {
      client = builder.build();
    } catch (SdkClientException e) {
      throw new RefluxException(
          StoreUrl.SETTING
              + ": "
              + this
              + ": no region (expected: ?region=name, or AWS_REGION in the environment)",
          e);
    }
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public int pieces(long sizeBytes) {
    return sizeBytes == 0 ? 0 : 1;
  }

  /** By name and length: what the server took, it took with a checksum. */
  @Override
  public boolean holds(StoredObject object) {
    String key = key(object.sha256());
    try {
      return attempt(() -> client.headObject(head -> head.bucket(url.bucket()).key(key)))
              .contentLength()
          == object.sizeBytes();
    } catch (AwsServiceException e) {
      // The answer to HEAD has no body, so a missing bucket looks the same; put tells it apart.
      if (e.statusCode() == NOT_FOUND) {
        return false;
      }
      throw failure(e);
    } catch (SdkException e) {
      throw failure(e);
    }
  }

  @Override
  public Place put(List<Content> contents) {
    for (Content content : contents) {
      try {
        if (content.sizeBytes() <= PART_BYTES) {
          putWhole(content);
        } else {
          putParts(content);
        }
      } catch (IOException e) {
        throw SnapshotFiles.unreadable(content.source(), e);
      } catch (SdkException e) {
        throw failure(e);
      }
    }
    return Place.UNKNOWN;
  }

  private void putWhole(Content content) throws IOException {
    byte[] bytes = Files.readAllBytes(content.source());
    MessageDigest digest = Digests.sha256();
    digest.update(bytes);
    if (!Digests.hex(digest).equals(content.sha256())) {
      throw SnapshotFiles.changed(content.source());
    }
    String checksum = Base64.getEncoder().encodeToString(HexFormat.of().parseHex(content.sha256()));
    attempt(
        () ->
            client.putObject(
                put -> put.bucket(url.bucket()).key(key(content.sha256())).checksumSHA256(checksum),
                RequestBody.fromBytes(bytes)));
  }

  private void putParts(Content content) throws IOException {
    String key = key(content.sha256());
    String upload =
        attempt(
                () ->
                    client.createMultipartUpload(
                        create ->
                            create
                                .bucket(url.bucket())
                                .key(key)
                                .checksumAlgorithm(ChecksumAlgorithm.SHA256)))
            .uploadId();
    boolean complete = false;
    try {
      List<CompletedPart> parts = sendParts(content, key, upload);
      attempt(
          () ->
              client.completeMultipartUpload(
                  whole ->
                      whole
                          .bucket(url.bucket())
                          .key(key)
                          .uploadId(upload)
                          .multipartUpload(all -> all.parts(parts))));
      complete = true;
    } finally {
      if (!complete) {
        abort(key, upload);
      }
    }
  }

  private List<CompletedPart> sendParts(Content content, String key, String upload)
      throws IOException {
    int partBytes =
        Math.toIntExact(Math.max(PART_BYTES, (content.sizeBytes() + MOST_PARTS - 1) / MOST_PARTS));
    List<CompletedPart> parts = new ArrayList<>();
    MessageDigest digest = Digests.sha256();
    try (InputStream in = new DigestInputStream(Files.newInputStream(content.source()), digest)) {
      byte[] bytes = in.readNBytes(partBytes);
      while (bytes.length > 0) {
        byte[] part = bytes;
        int number = parts.size() + 1;
        UploadPartResponse sent =
            attempt(
                () ->
                    client.uploadPart(
                        request ->
                            request
                                .bucket(url.bucket())
                                .key(key)
                                .uploadId(upload)
                                .partNumber(number)
                                .checksumAlgorithm(ChecksumAlgorithm.SHA256),
                        RequestBody.fromBytes(part)));
        parts.add(
            CompletedPart.builder()
                .partNumber(number)
                .eTag(sent.eTag())
                .checksumSHA256(sent.checksumSHA256())
                .build());
        bytes = in.readNBytes(partBytes);
      }
    }
    if (!Digests.hex(digest).equals(content.sha256())) {
      throw SnapshotFiles.changed(content.source());
    }
    return parts;
  }

  /** Parts that stay behind are no object; the bucket's own rules clear them in the end. */
  private void abort(String key, String upload) {
    try {
      attempt(
          () ->
              client.abortMultipartUpload(
                  abort -> abort.bucket(url.bucket()).key(key).uploadId(upload)));
    } catch (SdkException e) {
      log.warn("{}: parts of {} stay behind: {}", this, key, e.getMessage());
    }
  }

  @Override
  public void get(List<Wanted> wanted) {
    for (Wanted one : wanted) {
      try {
        Files.createFile(one.target());
        download(one);
        SnapshotFiles.force(one.target());
        SnapshotFiles.verify(
            one.name() + ", from " + this,
            one.target(),
            one.object().sizeBytes(),
            one.object().sha256());
      } catch (IOException e) {
        throw new SnapshotException(
            Kind.STORAGE, one.name() + ": cannot write " + one.target() + ": " + e, e);
      } catch (NoSuchKeyException e) {
        throw new SnapshotException(
            Kind.MISSING_CHUNK,
            one.name()
                + ": no "
                + key(one.object().sha256())
                + " in "
                + this
                + " (expected: there, unless it was tidied away)",
            e);
      } catch (SdkException e) {
        throw failure(e);
      }
    }
  }

  private void download(Wanted one) throws IOException {
    long size = one.object().sizeBytes();
    long received = 0;
    for (int attempt = 1; received < size; attempt++) {
      try {
        received += append(one, received);
        if (received < size && attempt == ATTEMPTS) {
          return;
        }
      } catch (BrokenDownload e) {
        received = Files.size(one.target());
        if (attempt == ATTEMPTS) {
          throw new SnapshotException(
              Kind.STORE,
              one.name()
                  + ": "
                  + this
                  + " broke off "
                  + attempt
                  + " times, the last at byte "
                  + received
                  + " of "
                  + size
                  + ": "
                  + e.getCause().getMessage(),
              e);
        }
      }
    }
  }

  /** The connection failed, and not the disk. */
  private static final class BrokenDownload extends IOException {
    private static final long serialVersionUID = 1L;

    BrokenDownload(IOException cause) {
      super(cause);
    }
  }

  private long append(Wanted one, long from) throws IOException {
    GetObjectRequest.Builder request =
        GetObjectRequest.builder().bucket(url.bucket()).key(key(one.object().sha256()));
    if (from > 0) {
      request.range("bytes=" + from + "-");
    }
    long room = one.object().sizeBytes() - from;
    byte[] buffer = new byte[1 << 16];
    long written = 0;
    try (InputStream in = attempt(() -> client.getObject(request.build()));
        OutputStream out = Files.newOutputStream(one.target(), StandardOpenOption.APPEND)) {
      int read = read(in, buffer);
      // Never more than the manifest says, and one byte that shows that there is more.
      while (read >= 0 && written <= room) {
        out.write(buffer, 0, read);
        written += read;
        read = read(in, buffer);
      }
    }
    return written;
  }

  private static int read(InputStream in, byte[] buffer) throws IOException {
    try {
      return in.read(buffer);
    } catch (IOException e) {
      throw new BrokenDownload(e);
    }
  }

  @Override
  public Map<String, Instant> list() {
    try {
      return attempt(
          () -> {
            Map<String, Instant> objects = new HashMap<>();
            for (S3Object object :
                client
                    .listObjectsV2Paginator(list -> list.bucket(url.bucket()).prefix(prefix))
                    .contents()) {
              objects.put(object.key().substring(prefix.length()), object.lastModified());
            }
            return objects;
          });
    } catch (SdkException e) {
      throw failure(e);
    }
  }

  @Override
  public void delete(Set<String> sha256s) {
    try {
      for (String sha256 : sha256s) {
        attempt(() -> client.deleteObject(delete -> delete.bucket(url.bucket()).key(key(sha256))));
      }
    } catch (SdkException e) {
      throw failure(e);
    }
  }

  @Override
  public void close() {
    client.close();
  }

  @Override
  public String toString() {
    String where = url.endpoint().map(endpoint -> " at " + endpoint).orElse("");
    return "s3://" + url.bucket() + "/" + url.prefix() + where;
  }

  /**
   * The SDK repeats what failed, but for a connection that breaks while a request is written: that
   * its client throws as it is.
   */
  private static <T> T attempt(Supplier<T> request) {
    for (int attempt = 1; ; attempt++) {
      try {
        return request.get();
      } catch (UncheckedIOException e) {
        if (attempt == ATTEMPTS) {
          throw SdkClientException.create(e.getCause().getMessage(), e);
        }
        LockSupport.parkNanos(PAUSE.toNanos() << attempt);
      }
    }
  }

  private String key(String sha256) {
    return prefix + sha256;
  }

  private SnapshotException failure(SdkException e) {
    return new SnapshotException(Kind.STORE, this + ": " + reason(e), e);
  }

  private String reason(SdkException e) {
    if (e instanceof AwsServiceException service) {
      String code = service.awsErrorDetails() == null ? "" : service.awsErrorDetails().errorCode();
      if ("NoSuchBucket".equals(code)) {
        return "no such bucket (expected: one that exists; it is not made here)";
      }
      int status = service.statusCode();
      if (status == FORBIDDEN || status == UNAUTHORISED) {
        return "access denied, "
            + (code == null || code.isEmpty() ? "status " + status : code)
            + " (expected: credentials that may read, write and list the bucket)";
      }
      return "status " + status + ", " + oneLine(service.getMessage());
    }
    String message = oneLine(e.getMessage());
    if (message.contains("Unable to load credentials")) {
      return "no credentials (expected: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or"
          + " a role)";
    }
    return "not reachable: " + message;
  }

  private static String oneLine(String message) {
    return message == null ? "no reason given" : message.replaceAll("\\s+", " ").trim();
  }
}
