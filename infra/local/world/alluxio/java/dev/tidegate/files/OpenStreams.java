package dev.tidegate.files;

import alluxio.client.file.FileInStream;
import alluxio.client.file.FileOutStream;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** Files that stay open between requests: a write or a read that is still under way while something else happens. */
final class OpenStreams {
  private final Clients clients;
  private final AtomicLong next = new AtomicLong();
  private final Map<String, Writer> writers = new ConcurrentHashMap<>();
  private final Map<String, Reader> readers = new ConcurrentHashMap<>();

  OpenStreams(Clients clients) {
    this.clients = clients;
  }

  private static final class Writer {
    private final FileOutStream out;
    private final Content content = new Content();

    private Writer(FileOutStream out) {
      this.out = out;
    }
  }

  private static final class Reader {
    private final FileInStream in;
    private final Content content = new Content();

    private Reader(FileInStream in) {
      this.in = in;
    }
  }

  Map<String, ?> openWriter(Parameters p) throws Exception {
    String id = "w" + next.incrementAndGet();
    FileOutStream out =
        clients.of(p.user(), p.worker()).createFile(p.path(), WholeFiles.createOptions(p));
    writers.put(id, new Writer(out));
    return Map.of("id", id);
  }

  Map<String, ?> write(Parameters p) throws Exception {
    Writer writer = known(writers, p.required("id"));
    synchronized (writer) {
      writer.content.writeTo(writer.out, p.number("seed", 1), p.number("bytes", 0));
      // Without the flush the bytes may still be in the client, and no worker knows of the block.
      writer.out.flush();
      return Map.of("bytes", writer.content.bytes());
    }
  }

  Map<String, ?> closeWriter(Parameters p) throws Exception {
    Writer writer = known(writers, p.required("id"));
    writers.remove(p.required("id"));
    synchronized (writer) {
      writer.out.close();
      return Map.of("sha256", writer.content.sha256(), "bytes", writer.content.bytes());
    }
  }

  Map<String, ?> cancelWriter(Parameters p) throws Exception {
    Writer writer = known(writers, p.required("id"));
    writers.remove(p.required("id"));
    synchronized (writer) {
      writer.out.cancel();
      return Map.of("bytes", writer.content.bytes());
    }
  }

  Map<String, ?> openReader(Parameters p) throws Exception {
    String id = "r" + next.incrementAndGet();
    readers.put(
        id, new Reader(clients.of(p.user(), "").openFile(p.path(), WholeFiles.withoutCaching())));
    return Map.of("id", id);
  }

  Map<String, ?> read(Parameters p) throws Exception {
    Reader reader = known(readers, p.required("id"));
    synchronized (reader) {
      long bytes = reader.content.readFrom(reader.in, p.number("bytes", Long.MAX_VALUE));
      return Map.of("bytes", bytes);
    }
  }

  Map<String, ?> closeReader(Parameters p) throws Exception {
    Reader reader = known(readers, p.required("id"));
    readers.remove(p.required("id"));
    synchronized (reader) {
      reader.in.close();
      return Map.of("sha256", reader.content.sha256(), "bytes", reader.content.bytes());
    }
  }

  private static <T> T known(Map<String, T> streams, String id) {
    T stream = streams.get(id);
    if (stream == null) {
      throw new NoSuchElementException("no open stream has the id " + id);
    }
    return stream;
  }
}
