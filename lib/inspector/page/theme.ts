const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const key = 'leasehold-theme';
const named = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' } as const;

/** Lets the reader choose, and tells when colours have changed. */
export function startTheme(button: HTMLButtonElement, changed: () => void): void {
  let theme = kept();
  const show = (): void => {
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    button.textContent = named[theme];
    changed();
  };
  button.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'auto';
    keep(theme);
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  show();
}

// Storage throws where the browser is told to keep nothing.
function kept(): Theme {
  try {
    return themes.find((theme) => theme === localStorage.getItem(key)) ?? 'auto';
  } catch {
    return 'auto';
  }
}

function keep(theme: Theme): void {
  try {
    localStorage.setItem(key, theme);
  } catch {
    // It lasts as long as the page.
  }
}
