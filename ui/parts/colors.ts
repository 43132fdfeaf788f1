/** Colours and dashes of runs that are shown together, told apart by those who see few colours, too. */

/** After Okabe and Ito, darkened to a contrast of 3:1 on white. */
const LIGHT = ['#0072b2', '#d55e00', '#00875f', '#aa3377', '#6f5fb8', '#5c6066'];
const DARK = ['#5bb8f0', '#f0a050', '#45cfa0', '#f08fc0', '#b6a4ff', '#b4b9c0'];
const DASHES: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [1, 2]];

export const prefersDark = (): MediaQueryList => matchMedia('(prefers-color-scheme: dark)');

/** @param place of the run among those that are shown */
export const colorOf = (place: number): string => {
  const colors = prefersDark().matches ? DARK : LIGHT;
  return colors[place % colors.length]!;
};

export const dashOf = (place: number): number[] => [...DASHES[place % DASHES.length]!];
