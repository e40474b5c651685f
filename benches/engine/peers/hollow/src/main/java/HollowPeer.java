import java.nio.file.Path;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Netflix Hollow on the catalog workload, for the comparison, which starts it with
 *
 * <pre>java -cp JARS HollowPeer produce|consume hollow|hollow-ref RECORDS FOLDER REPETITIONS PASSES SECONDS</pre>
 *
 * By hand, {@code HollowPeer hash RECORDS} prints the check sum of the workload. Only Hollow's public API is used, through
 * its typed read states: what generated code calls, without the objects that it would wrap around them.
 */
public final class HollowPeer {
    public static void main(String[] args) throws Exception {
        Logger.getLogger("").setLevel(Level.WARNING);
        if (args[0].equals("hash")) {
            System.out.println(Long.toHexString(new Workload(Integer.parseInt(args[1])).hash()));
            return;
        }
        Turn turn = new Turn(args);
        switch (args[0]) {
            case "produce" -> Produce.run(turn);
            case "consume" -> Consume.run(turn);
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.exit(0); // Hollow leaves threads behind
    }

    /** What the comparison asks for. */
    static final class Turn {
        final boolean reference;
        final int records, repetitions, passes;
        final Path folder;
        final double seconds;

        Turn(String[] args) {
            reference = args[1].equals("hollow-ref");
            records = Integer.parseInt(args[2]);
            folder = Path.of(args[3]);
            repetitions = Integer.parseInt(args[4]);
            passes = Integer.parseInt(args[5]);
            seconds = Double.parseDouble(args[6]);
        }

        int repetitions(int size) { return size < 100_000 ? repetitions : Math.min(3, repetitions); }

        Path blobs() { return folder.resolve("blobs"); }
    }
}
