package dev.tidegate.files;

import alluxio.AlluxioURI;
import alluxio.client.file.FileInStream;
import alluxio.client.file.FileOutStream;
import alluxio.client.file.FileSystem;
import alluxio.client.file.URIStatus;
import alluxio.grpc.CreateDirectoryPOptions;
import alluxio.grpc.CreateFilePOptions;
import alluxio.grpc.DeletePOptions;
import alluxio.grpc.FreePOptions;
import alluxio.grpc.OpenFilePOptions;
import alluxio.grpc.ReadPType;
import alluxio.security.authorization.Mode;
import alluxio.wire.BlockInfo;
import alluxio.wire.FileBlockInfo;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;

/** Files that are written, read, looked at and deleted in one request. */
final class WholeFiles {
  private final Clients clients;
  private final ExecutorService readers = Executors.newCachedThreadPool();

  WholeFiles(Clients clients) {
    this.clients = clients;
  }

  static CreateFilePOptions createOptions(Parameters p) {
    CreateFilePOptions.Builder options =
        CreateFilePOptions.newBuilder().setWriteType(p.writeType()).setRecursive(true);
    long blockBytes = p.number("blockBytes", 0);
    if (blockBytes > 0) {
      options.setBlockSizeBytes(blockBytes);
    }
    return options.build();
  }

  Map<String, ?> write(Parameters p) throws Exception {
    FileSystem client = clients.of(p.user(), p.worker());
    Content content = new Content();
    writeOne(client, p.path(), createOptions(p), content, p.number("seed", 1), p.number("bytes", 0));
    return Map.of("sha256", content.sha256(), "bytes", content.bytes());
  }

  private static void writeOne(
      FileSystem client, AlluxioURI path, CreateFilePOptions options, Content content, long seed, long bytes)
      throws Exception {
    FileOutStream out = client.createFile(path, options);
    try {
      content.writeTo(out, seed, bytes);
    } catch (Throwable e) {
      out.cancel();
      // Cancelling leaves the incomplete file in the namespace, and the next try would find it there.
      client.delete(path);
      throw e;
    }
    out.close();
  }

  Map<String, ?> fill(Parameters p) throws Exception {
    FileSystem client = clients.of(p.user(), p.worker());
    long count = p.number("count", 0);
    int threads = (int) p.number("threads", 8);
    String directory = p.required("path");
    AtomicLong next = new AtomicLong();
    ExecutorService writers = Executors.newFixedThreadPool(threads);
    long began = System.nanoTime();
    try {
      List<Future<?>> running = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        running.add(
            writers.submit(
                () -> {
                  for (long n = next.getAndIncrement(); n < count; n = next.getAndIncrement()) {
                    AlluxioURI path = new AlluxioURI(directory + "/" + n);
                    writeOne(client, path, createOptions(p), new Content(), n, p.number("bytes", 100));
                  }
                  return null;
                }));
      }
      for (Future<?> one : running) {
        one.get();
      }
    } finally {
      writers.shutdownNow();
    }
    return Map.of("files", count, "seconds", (System.nanoTime() - began) / 1e9);
  }

  Map<String, ?> makeDirectory(Parameters p) throws Exception {
    CreateDirectoryPOptions.Builder options =
        CreateDirectoryPOptions.newBuilder().setRecursive(true).setAllowExists(true);
    String mode = p.text("mode", null);
    if (mode != null) {
      options.setMode(new Mode(Short.parseShort(mode, 8)).toProto());
    }
    clients.of(p.user(), "").createDirectory(p.path(), options.build());
    return Map.of("path", p.required("path"));
  }

  Map<String, ?> persist(Parameters p) throws Exception {
    clients.of(p.user(), "").persist(p.path());
    return Map.of("path", p.required("path"));
  }

  Map<String, ?> free(Parameters p) throws Exception {
    clients.of(p.user(), "").free(p.path(), FreePOptions.newBuilder().setRecursive(true).build());
    return Map.of("path", p.required("path"));
  }

  Map<String, ?> delete(Parameters p) throws Exception {
    boolean alluxioOnly = Boolean.parseBoolean(p.text("alluxioOnly", "false"));
    clients
        .of(p.user(), "")
        .delete(
            p.path(),
            DeletePOptions.newBuilder().setRecursive(true).setAlluxioOnly(alluxioOnly).build());
    return Map.of("path", p.required("path"));
  }

  Map<String, ?> checksum(Parameters p) throws Exception {
    long seconds = p.number("timeoutSeconds", 30);
    AlluxioURI path = p.path();
    FileSystem client = clients.of(p.user(), "");
    Future<Content> reading =
        readers.submit(
            () -> {
              Content content = new Content();
              try (FileInStream in = client.openFile(path, withoutCaching())) {
                content.readFrom(in, Long.MAX_VALUE);
              }
              return content;
            });
    try {
      Content content = reading.get(seconds, TimeUnit.SECONDS);
      return Map.of("sha256", content.sha256(), "bytes", content.bytes());
    } catch (TimeoutException e) {
      reading.cancel(true);
      throw new TimeoutException(path + " could not be read within " + seconds + " s");
    }
  }

  static OpenFilePOptions withoutCaching() {
    return OpenFilePOptions.newBuilder().setReadType(ReadPType.NO_CACHE).build();
  }

  Map<String, ?> status(Parameters p) throws Exception {
    return describe(clients.of(p.user(), "").getStatus(p.path()));
  }

  Map<String, ?> list(Parameters p) throws Exception {
    List<Map<String, ?>> entries = new ArrayList<>();
    for (URIStatus status : clients.of(p.user(), "").listStatus(p.path())) {
      entries.add(describe(status));
    }
    return Map.of("entries", entries);
  }

  private static Map<String, ?> describe(URIStatus status) {
    Map<String, Object> told = new LinkedHashMap<>();
    told.put("path", status.getPath());
    told.put("fileId", status.getFileId());
    told.put("folder", status.isFolder());
    told.put("bytes", status.getLength());
    told.put("owner", status.getOwner());
    told.put("completed", status.isCompleted());
    told.put("persisted", status.isPersisted());
    told.put("persistenceState", status.getPersistenceState());
    told.put("inAlluxioPercent", status.getInAlluxioPercentage());
    told.put("replicationMin", status.getReplicationMin());
    told.put("ufsPath", status.getUfsPath());
    List<Map<String, ?>> blocks = new ArrayList<>();
    for (FileBlockInfo file : status.getFileBlockInfos()) {
      BlockInfo block = file.getBlockInfo();
      List<String> hosts = new ArrayList<>();
      block.getLocations().forEach(location -> hosts.add(location.getWorkerAddress().getHost()));
      blocks.add(Map.of("id", block.getBlockId(), "bytes", block.getLength(), "hosts", hosts));
    }
    told.put("blocks", blocks);
    return told;
  }
}
