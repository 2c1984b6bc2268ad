// Vercel's emulate (npm) as Microsoft: Entra ID's endpoints and some of Microsoft Graph, over http.
// Arguments: its port, its public address, the redirect URI. It ends when its stdin closes.
import { createEmulator } from "emulate";

const [port, url, redirectUri] = process.argv.slice(2);
const emulator = await createEmulator({
  service: "microsoft",
  port: Number(port),
  baseUrl: url,
  seed: {
    microsoft: {
      users: ["ada", "grace"].map((name) => ({
        email: `${name}@example.org`,
        name: `${name[0].toUpperCase()}${name.slice(1)} O'Brien-Müller`,
      })),
      oauth_clients: [
        { client_id: "notebooks", client_secret: "", name: "Notebooks", redirect_uris: [redirectUri] },
      ],
    },
  },
});
process.stdin.resume().on("end", () => emulator.close().then(() => process.exit(0)));
