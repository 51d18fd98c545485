/**
 * `/livez`, `/readyz` and `/healthz`: 200 with `ok`, or 503 naming what fails; `?verbose` lists
 * every check. Plain text, as load balancers and people with curl read it.
 */
import { Controller, Get, Header, Inject, Query, Res } from '@nestjs/common';
import { type HealthKind, type HealthReport, HealthRegistry } from './health-registry.js';

/** What the response objects of Nest's HTTP servers have in common, as far as needed here. */
interface StatusSetter {
  status(code: number): unknown;
}

const UNAVAILABLE = 503;
const TEXT = 'text/plain; charset=utf-8';

@Controller()
export class HealthController {
  constructor(@Inject(HealthRegistry) private readonly registry: HealthRegistry) {}

  @Get('livez')
  @Header('content-type', TEXT)
  livez(
    @Res({ passthrough: true }) response: StatusSetter,
    @Query() query: Record<string, unknown>,
  ): Promise<string> {
    return this.answer('livez', 'liveness', response, query);
  }

  @Get('readyz')
  @Header('content-type', TEXT)
  readyz(
    @Res({ passthrough: true }) response: StatusSetter,
    @Query() query: Record<string, unknown>,
  ): Promise<string> {
    return this.answer('readyz', 'readiness', response, query);
  }

  @Get('healthz')
  @Header('content-type', TEXT)
  healthz(
    @Res({ passthrough: true }) response: StatusSetter,
    @Query() query: Record<string, unknown>,
  ): Promise<string> {
    return this.answer('healthz', 'all', response, query);
  }

  private async answer(
    route: string,
    kind: HealthKind | 'all',
    response: StatusSetter,
    query: Record<string, unknown>,
  ): Promise<string> {
    const report = await this.registry.run(kind);
    if (!report.healthy) response.status(UNAVAILABLE);
    return 'verbose' in query ? verboseText(route, report) : shortText(report);
  }
}

function shortText(report: HealthReport): string {
  if (report.healthy) return 'ok';
  const failing = report.results.filter((result) => !result.healthy);
  return failing.map(({ name, reason }) => `${name}: ${reason}`).join('\n');
}

function verboseText(route: string, report: HealthReport): string {
  const lines = report.results.map(({ name, healthy, reason, durationMs }) => {
    const time = `${durationMs.toFixed(1)} ms`;
    return healthy ? `[+] ${name} ok (${time})` : `[-] ${name} failing: ${reason} (${time})`;
  });
  return [...lines, `${route} ${report.healthy ? 'ok' : 'failing'}`, ''].join('\n');
}
