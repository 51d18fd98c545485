/**
 * Variables of the command line tool: they may stand in the same environment as those of a
 * server.
 * What is a setting as well, such as `FLOTILLA_DATA_DIR`, needs no entry.
 */
export const CLI_ENVIRONMENT = [
  'FLOTILLA_ENDPOINTS',
  'FLOTILLA_TABLE',
  'FLOTILLA_TOKEN',
  'FLOTILLA_WRITE_OUT',
  'FLOTILLA_HEX',
  'FLOTILLA_COMMAND_TIMEOUT',
  'FLOTILLA_DIAL_TIMEOUT',
  'FLOTILLA_CACERT',
  'FLOTILLA_CERT',
  'FLOTILLA_KEY',
  'FLOTILLA_INSECURE*',
  'FLOTILLA_CLI_*',
] as const;
